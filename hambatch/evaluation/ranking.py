"""Figures that follow from the order of the probabilities."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.sample import Figures, Measure, Sample, ratio, targets


class Counts(NamedTuple):
    """Positives and negatives above each threshold, float64 ``[draws, steps + 1]``.

    The first threshold is above all scores; the last one is the lowest score.
    """

    true: NDArray[np.float64]
    false: NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Images by falling score; equal scores make one step, whatever their order.

    Attributes
    ----------
    order
        int64 ``[n]``: the images, the highest score first.
    positive
        float64 ``[n]``, 0 or 1, in that order.
    steps
        int64 ``[steps]``: where in that order each score occurs last.
    thresholds
        float64 ``[steps]``: the scores, each once.
    """

    order: NDArray[np.int64]
    positive: NDArray[np.float64]
    steps: NDArray[np.int64]
    thresholds: NDArray[np.float64]

    def counts(self, weights: NDArray[np.float64]) -> Counts:
        """Count, in every draw, what lies at or above each threshold."""
        ordered = weights[:, self.order]
        true = np.cumsum(ordered * self.positive, axis=1)[:, self.steps]
        called = np.cumsum(ordered, axis=1)[:, self.steps]
        start = ((0, 0), (1, 0))
        return Counts(np.pad(true, start), np.pad(called - true, start))

    def places_of(self, thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Say where in :meth:`counts` the images at or above each of any thresholds are counted."""
        return np.searchsorted(-self.thresholds, -thresholds, side="right")


def rank(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> Ranking:
    """Order images by falling score; ``positive`` and finite ``scores`` are ``[n]``, n > 0."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    steps = np.append(np.flatnonzero(np.diff(falling)), falling.size - 1)
    return Ranking(order, positive[order].astype(np.float64), steps, falling[steps])


def roc_area(counts: Counts) -> NDArray[np.float64]:
    """Area under the ROC curve by trapezoids: a pair of equal scores counts half [1]_.

    Returns
    -------
    float64 ``[draws]``; NaN in a draw without positives or without negatives.

    References
    ----------
    .. [1] Hanley, McNeil, Radiology 143:29-36 (1982), doi:10.1148/radiology.143.1.7063747
    """
    heights = counts.true[:, 1:] + counts.true[:, :-1]
    area = (np.diff(counts.false, axis=1) * heights).sum(axis=1) / 2
    return ratio(area, counts.true[:, -1] * counts.false[:, -1])


def roc_area_above(counts: Counts, sensitivity: float) -> NDArray[np.float64]:
    """Area under the part of the ROC curve with at least this sensitivity, not normalised.

    Returns
    -------
    float64 ``[draws]``, 0 to 1; NaN as in :func:`roc_area`.
    """
    tpr, fpr = (ratio(part, part[:, -1:]) for part in counts)
    low, high = tpr[:, :-1], tpr[:, 1:]
    flat = np.where(low < sensitivity, 1.0, 0.0)
    cut = np.divide(sensitivity - low, high - low, out=flat, where=high > low).clip(0, 1)
    heights = np.maximum(low, sensitivity) + high
    return np.asarray((np.diff(fpr, axis=1) * (1 - cut) * heights).sum(axis=1) / 2)


def average_precision(counts: Counts) -> NDArray[np.float64]:
    """Precision at every threshold, weighted by the recall gained there; no interpolation.

    Returns
    -------
    float64 ``[draws]``; NaN in a draw without positives.
    """
    true, called = counts.true[:, 1:], (counts.true + counts.false)[:, 1:]
    precision = np.divide(true, called, out=np.zeros(true.shape), where=called > 0)
    gained = np.diff(counts.true, axis=1)
    return ratio((gained * precision).sum(axis=1), counts.true[:, -1])


POINTS = 200
"""The most points of a curve in a report."""


def roc_curves(sample: Sample) -> dict[str, dict[str, Any]]:
    """Curves of ``malignant`` (against benign) and ``melanoma`` (against all others)."""
    return {name: roc_curve(*target) for name, target in targets(sample).items()}


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


def precision_recall_curves(sample: Sample) -> dict[str, dict[str, Any]]:
    """Curves of the same two as :func:`roc_curves`."""
    return {name: precision_recall_curve(*target) for name, target in targets(sample).items()}


def precision_recall_curve(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> dict[str, Any]:
    """Thin the curve to ``POINTS`` at most, by the share of positives and negatives passed.

    Returns
    -------
    ``positives`` and ``negatives``, how many; ``prevalence``, the precision of chance;
    ``points_before_thinning``; lists of equal length ``threshold``, ``recall`` and ``precision``
    (of the images at or above the threshold), empty if there are no positives.
    """
    ranking = rank(positive, scores)
    true, false = (part[0] for part in ranking.counts(np.ones((1, positive.size))))
    found: dict[str, Any] = {
        "positives": int(true[-1]),
        "negatives": int(false[-1]),
        "prevalence": float(true[-1] / positive.size),
    }
    if not true[-1]:
        empty: dict[str, list[float]] = {"threshold": [], "recall": [], "precision": []}
        return {**found, "points_before_thinning": 0, **empty}
    # Above all scores nothing is called: there is no precision.
    true, false = true[1:], false[1:]
    recall, precision = true / true[-1], true / (true + false)
    kept = _thinned(recall + false / max(false[-1], 1))
    return {
        **found,
        "points_before_thinning": int(true.size),
        "threshold": ranking.thresholds[kept].tolist(),
        "recall": recall[kept].tolist(),
        "precision": precision[kept].tolist(),
    }


def _thinned(length: NDArray[np.float64]) -> NDArray[np.int64]:
    """Choose points by their distance along the curve, which rises to its end."""
    if length.size <= POINTS:
        return np.arange(length.size)
    wanted = np.linspace(0, length[-1], POINTS)
    return np.unique(np.append(np.searchsorted(length, wanted[:-1]), length.size - 1))


def class_rankings(sample: Sample) -> dict[str, Ranking]:
    """Order the images by the probability of each class, against all others."""
    return {
        name: rank(sample.truth == k, sample.probabilities[:, k]) for k, name in enumerate(CLASSES)
    }


def score_measure(sample: Sample) -> Measure:
    """ROC AUC and average precision: malignant, melanoma, and of every class."""
    malignant = rank(sample.malignant, sample.p_malignant)
    classes = class_rankings(sample)

    def measure(weights: NDArray[np.float64]) -> Figures:
        areas = {name: _areas(ranking, weights) for name, ranking in classes.items()}
        figures: Figures = {}
        for name, found in (("malignant", _areas(malignant, weights)), ("melanoma", areas["mel"])):
            figures |= {(f"{what}_{name}",): values for what, values in found.items()}
        for name, found in areas.items():
            figures |= {("classes", name, what): values for what, values in found.items()}
        return figures

    return measure


def _areas(ranking: Ranking, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    counts = ranking.counts(weights)
    return {"roc_auc": roc_area(counts), "average_precision": average_precision(counts)}
