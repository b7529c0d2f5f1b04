"""The confusion matrix and the figures that follow from it alone."""

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.figures import Figures, Measure, mean_defined, ratio
from hambatch.labels import CLASSES


def confusion_matrix(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count images: int64 ``[7, 7]``, rows are the truth, columns the prediction."""
    matrix = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def label_measure(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> Measure:
    """Figures of the labels alone, in every draw."""
    count = len(CLASSES)
    cells = np.zeros((truth.size, count * count))
    cells[np.arange(truth.size), truth * count + predicted] = 1.0
    return lambda weights: label_figures((weights @ cells).reshape(-1, count, count))


def label_figures(matrices: NDArray[np.float64]) -> Figures:
    """Accuracy, balanced accuracy, macro F1, and each class against all others.

    Parameters
    ----------
    matrices
        float64 ``[draws, 7, 7]``: counts, rows truth, columns predicted.
    """
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    support, called = matrices.sum(axis=2), matrices.sum(axis=1)
    total = support.sum(axis=1, keepdims=True)
    others = total - support
    classes = {
        "sensitivity": ratio(hits, support),
        "specificity": ratio(others - (called - hits), others),
        "precision": ratio(hits, called),
        "f1": ratio(2 * hits, support + called),
    }
    figures: Figures = {
        ("accuracy",): ratio(hits.sum(axis=1), total[:, 0]),
        ("balanced_accuracy",): mean_defined(classes["sensitivity"]),
        ("macro_f1",): mean_defined(classes["f1"]),
    }
    for k, name in enumerate(CLASSES):
        figures |= {("classes", name, what): values[:, k] for what, values in classes.items()}
    return figures
