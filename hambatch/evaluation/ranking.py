"""Images in the order of a score, and the areas under the curves that follow from it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.figures import ratio


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
