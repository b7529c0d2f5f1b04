"""How good predictions are, as one JSON-able dictionary."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.confusion import class_figures, confusion_matrix
from hambatch.evaluation.roc import roc_auc
from hambatch.labels import CLASSES, MALIGNANT

__all__ = ["bootstrap_intervals", "evaluate"]

_MALIGNANT = [k for k, name in enumerate(CLASSES) if name in MALIGNANT]
_MELANOMA = CLASSES.index("mel")


def evaluate(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probabilities: NDArray[np.float64],
) -> dict[str, Any]:
    """Compute every figure of an evaluation.

    Parameters
    ----------
    truth, predicted
        int64 ``[n]``, n > 0: positions in ``CLASSES``.
    probabilities
        float64 ``[n, 7]``, 0 to 1, in the order of ``CLASSES``.

    Returns
    -------
    ``n``; ``accuracy``; ``balanced_accuracy``, the mean sensitivity of the
    classes that occur in the truth; ``macro_f1``, the mean F1 of those that
    occur in the truth or the predictions; ``roc_auc_malignant``, of the summed
    probabilities of akiec, bcc and mel; ``roc_auc_melanoma``; ``classes``, name
    to ``support``, ``sensitivity``, ``specificity``, ``precision``, ``f1`` and
    ``roc_auc`` (one against all others); ``confusion_matrix``, rows truth,
    columns predicted. A figure that would divide by zero is None.

    Raises
    ------
    ValueError
        If there are no images, shapes differ, a class is out of range, or a
        probability is outside 0 to 1.
    """
    _check(truth, predicted, probabilities)
    matrix = confusion_matrix(truth, predicted)
    classes = {name: class_figures(matrix, k) for k, name in enumerate(CLASSES)}
    for k, name in enumerate(CLASSES):
        classes[name]["roc_auc"] = roc_auc(truth == k, probabilities[:, k])
    # Rounded, or the noise of float addition would order sums that are equal.
    malignant = probabilities[:, _MALIGNANT].sum(axis=1).round(12)
    return {
        "n": int(truth.size),
        "accuracy": float(np.trace(matrix) / truth.size),
        "balanced_accuracy": _mean(c["sensitivity"] for c in classes.values()),
        "macro_f1": _mean(c["f1"] for c in classes.values()),
        "roc_auc_malignant": roc_auc(np.isin(truth, _MALIGNANT), malignant),
        "roc_auc_melanoma": classes[CLASSES[_MELANOMA]]["roc_auc"],
        "classes": classes,
        "confusion_matrix": matrix.tolist(),
    }


def _mean(values: Any) -> float:
    """Average what is defined."""
    return float(np.mean([value for value in values if value is not None]))


def _check(truth: Any, predicted: Any, probabilities: Any) -> None:
    n = truth.size
    if not n or truth.shape != (n,) or predicted.shape != (n,):
        raise ValueError(f"truth {truth.shape}, predicted {predicted.shape}: wanted [n], n > 0")
    if probabilities.shape != (n, len(CLASSES)):
        raise ValueError(f"probabilities {probabilities.shape}: wanted ({n}, {len(CLASSES)})")
    if not np.isin(np.stack([truth, predicted]), np.arange(len(CLASSES))).all():
        raise ValueError(f"classes: wanted 0 to {len(CLASSES) - 1}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities: wanted 0 to 1")
