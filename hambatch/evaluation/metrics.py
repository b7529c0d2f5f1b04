"""Figures of a seven-class classifier, from labels and probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.labels import CLASSES, MALIGNANT

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MALIGNANT_COLUMNS = [k for k, name in enumerate(CLASSES) if name in MALIGNANT]


def evaluate(truth: Ints, predicted: Ints, probabilities: Floats) -> dict[str, Any]:
    """Compute every figure of a set of predictions, as plain JSON values.

    Parameters
    ----------
    truth, predicted
        Class indices ``[n]``, 0 to 6 in the order of ``CLASSES``; n at least 1.
    probabilities
        ``[n, 7]``; only the ROC curves use them.

    Notes
    -----
    Balanced accuracy is the mean sensitivity over the classes that occur in
    ``truth``; a figure without a denominator (precision of a class never
    predicted) counts as 0, as scikit-learn has it; a ROC AUC without both
    sides is None.
    """
    matrix = confusion_matrix(truth, predicted)
    malignant = np.isin(truth, MALIGNANT_COLUMNS)
    melanoma = CLASSES.index("mel")
    return {
        "n": len(truth),
        "accuracy": float(np.trace(matrix) / matrix.sum()),
        "balanced_accuracy": float(balanced_accuracy(matrix)),
        "macro_f1": float(np.mean([c["f1"] for c in per_class(matrix).values() if c["support"]])),
        "melanoma_roc_auc": roc_auc(truth == melanoma, probabilities[:, melanoma]),
        "malignant_roc_auc": roc_auc(malignant, probabilities[:, MALIGNANT_COLUMNS].sum(axis=1)),
        "per_class": {
            name: {**figures, "roc_auc": roc_auc(truth == k, probabilities[:, k])}
            for k, (name, figures) in enumerate(per_class(matrix).items())
        },
        "confusion_matrix": {"rows": "truth", "classes": list(CLASSES), "counts": matrix.tolist()},
    }


def confusion_matrix(truth: Ints, predicted: Ints) -> Ints:
    """Count int64 ``[7, 7]``: rows are the truth, columns the predictions."""
    size = len(CLASSES)
    return np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)


def balanced_accuracy(matrix: NDArray[Any]) -> Floats:
    """Mean sensitivity over the classes present, of one or many matrices ``[..., 7, 7]``."""
    support = matrix.sum(axis=-1)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    sensitivity = np.divide(hits, support, out=np.zeros(hits.shape), where=support > 0)
    mean: Floats = sensitivity.sum(axis=-1) / (support > 0).sum(axis=-1)
    return mean


def per_class(matrix: Ints) -> dict[str, dict[str, float | int]]:
    """Precision, sensitivity, specificity, F1 and support of each class."""
    found = {}
    for k, name in enumerate(CLASSES):
        hit, total = int(matrix[k, k]), int(matrix.sum())
        support, called = int(matrix[k].sum()), int(matrix[:, k].sum())
        negatives = total - support
        found[name] = {
            "precision": _share(hit, called),
            "sensitivity": _share(hit, support),
            "specificity": _share(negatives - (called - hit), negatives),
            "f1": _share(2 * hit, support + called),
            "support": support,
        }
    return found


def roc_auc(positive: NDArray[np.bool_], score: Floats) -> float | None:
    """Area under the ROC curve by the rank-sum statistic, ties counted half.

    None if ``positive`` is all true or all false. Source: Hanley and McNeil,
    Radiology 143:29 (1982).
    """
    count = int(positive.sum())
    if count in (0, len(positive)):
        return None
    values, place = np.unique(score, return_inverse=True)
    sizes = np.bincount(place, minlength=len(values))
    # The mean rank of tied values, counted from 1.
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[place]
    above = ranks[positive].sum() - count * (count + 1) / 2
    return float(above / (count * (len(positive) - count)))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
