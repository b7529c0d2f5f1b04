"""Validation: how good logits are, and which of many validations is the best."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.measures import confusion_matrix


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


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean categorical cross-entropy of logits ``[n, 7]``, in float64."""
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    of_truth = values[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(values).sum(axis=1)) - of_truth))


def _balanced_accuracy(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean sensitivity of the classes that occur; ROC curves every time would be waste."""
    matrix = confusion_matrix(truth, predicted)
    support = matrix.sum(axis=1)
    return float((np.diag(matrix)[support > 0] / support[support > 0]).mean())


class Validated(Protocol):
    """A line of the log."""

    @property
    def val_balanced_accuracy(self) -> float:
        """Mean sensitivity of the classes that occur."""
        ...


V = TypeVar("V", bound=Validated)


def best_of(history: Sequence[V]) -> V:
    """Give the line of the best validation, the first of equals; there has to be one."""
    return max(history, key=lambda line: line.val_balanced_accuracy)


def lines_since_best(history: Sequence[Validated]) -> int:
    """Count the validations after the best one."""
    return len(history) - 1 - history.index(best_of(history)) if history else 0
