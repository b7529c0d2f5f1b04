"""The ROC curve of one score: its area, and as many of its points as a picture needs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.figures import number
from hambatch.evaluation.ranking import rank, roc_area
from hambatch.evaluation.sample import MELANOMA, Sample

POINTS = 200
"""The most points of a curve in a report."""


def roc_auc(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float | None:
    """Share of (positive, negative) pairs that the score puts in order; ties count half.

    Parameters
    ----------
    positive
        ``[n]``, n > 0.
    scores
        ``[n]``, finite; greater means more probably positive.

    Returns
    -------
    0 to 1; None if all images are positive or none is.
    """
    return number(roc_area(rank(positive, scores).counts(np.ones((1, positive.size))))[0])


def roc_curves(sample: Sample) -> dict[str, dict[str, Any]]:
    """Curves of ``malignant`` (against benign) and ``melanoma`` (against all others)."""
    melanoma = sample.truth == MELANOMA
    return {
        "malignant": roc_curve(sample.malignant, sample.p_malignant),
        "melanoma": roc_curve(melanoma, sample.probabilities[:, MELANOMA]),
    }


def roc_curve(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, Any]:
    """Thin the curve to ``POINTS`` at most, at even steps along it; both ends stay.

    Returns
    -------
    ``positives`` and ``negatives``, how many; ``points_before_thinning``; lists
    of equal length ``threshold`` (None at the start: above all scores), ``fpr``
    and ``tpr``, empty if there are no positives or no negatives.
    """
    ranking = rank(positive, scores)
    true, false = (part[0] for part in ranking.counts(np.ones((1, positive.size))))
    counted = {"positives": int(true[-1]), "negatives": int(false[-1])}
    if not all(counted.values()):
        empty: dict[str, list[float]] = {"threshold": [], "fpr": [], "tpr": []}
        return {**counted, "points_before_thinning": 0, **empty}
    tpr, fpr = true / true[-1], false / false[-1]
    kept = _thinned(fpr + tpr)
    thresholds = [None, *ranking.thresholds.tolist()]
    return {
        **counted,
        "points_before_thinning": int(tpr.size),
        "threshold": [thresholds[k] for k in kept],
        "fpr": fpr[kept].tolist(),
        "tpr": tpr[kept].tolist(),
    }


def _thinned(length: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose points by their distance along the curve, which rises from 0 to 2."""
    if length.size <= POINTS:
        return np.arange(length.size)
    wanted = np.linspace(0, length[-1], POINTS)
    return np.unique(np.append(np.searchsorted(length, wanted[:-1]), length.size - 1))
