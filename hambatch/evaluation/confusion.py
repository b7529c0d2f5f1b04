"""The confusion matrix and the figures that follow from it alone."""

import numpy as np
from numpy.typing import NDArray

from hambatch.labels import CLASSES

Figures = dict[str, float | int | None]


def confusion_matrix(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count images: int64 ``[7, 7]``, rows are the truth, columns the prediction."""
    matrix = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def class_figures(matrix: NDArray[np.int64], k: int) -> Figures:
    """Figures of class ``k`` against all others; None where one divides by zero."""
    hits = int(matrix[k, k])
    support = int(matrix[k].sum())
    called = int(matrix[:, k].sum())
    others = int(matrix.sum()) - support
    return {
        "support": support,
        "sensitivity": _ratio(hits, support),
        "specificity": _ratio(others - (called - hits), others),
        "precision": _ratio(hits, called),
        "f1": _ratio(2 * hits, support + called),
    }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
