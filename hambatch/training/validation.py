"""How good logits are, in the figures that stop a training."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.confusion import confusion_matrix
from hambatch.training.head import cross_entropy


class Figures(NamedTuple):
    """Of one validation; names as in the log."""

    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float


def validate(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Figures:
    """Compare logits ``[n, 7]`` with labels ``[n]``."""
    predicted = logits.argmax(axis=1)
    return Figures(
        val_loss=cross_entropy(logits, labels),
        val_accuracy=float((predicted == labels).mean()),
        val_balanced_accuracy=_balanced_accuracy(labels, predicted),
    )


def _balanced_accuracy(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean sensitivity of the classes that occur; ROC curves every time would be waste."""
    matrix = confusion_matrix(truth, predicted)
    support = matrix.sum(axis=1)
    return float((np.diag(matrix)[support > 0] / support[support > 0]).mean())
