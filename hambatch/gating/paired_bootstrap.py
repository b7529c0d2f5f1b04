"""How far the difference of two paired figures would wander on another sample of lesions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.evaluation.bootstrap import LEVEL, RESAMPLES
from hambatch.labels import CLASSES

MELANOMA = CLASSES.index("mel")

Interval = tuple[float, float]


class Intervals(NamedTuple):
    """Of the second prediction's figure minus the first's, in percentage points."""

    balanced_accuracy: Interval
    melanoma_sensitivity: Interval


def paired_intervals(
    truth: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    groups: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Intervals:
    """Percentile bootstrap of whole lesions, as in :mod:`hambatch.evaluation.bootstrap`.

    Both predictions are counted in the same draw, so what they share cancels. A draw
    without any melanoma says nothing about them and is left out of their interval.

    Parameters
    ----------
    truth, first, second
        int64 ``[n]``, n > 0: positions in ``CLASSES``.
    groups
        ``[n]``: the lesion of each image.
    """
    patterns, frequency = _patterns(truth, first, second, groups)
    total = int(frequency.sum())
    draws = np.random.default_rng(seed).multinomial(total, frequency / total, size=resamples)
    gained, support = np.split(draws @ patterns, 2, axis=1)
    present = support > 0
    change = 100 * np.divide(gained, support, out=np.zeros(gained.shape), where=present)
    melanoma = change[present[:, MELANOMA], MELANOMA]
    return Intervals(_interval(change.sum(axis=1) / present.sum(axis=1)), _interval(melanoma))


def _interval(draws: NDArray[np.float64]) -> Interval:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail]).tolist()
    return low, high


def _patterns(
    truth: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    groups: ArrayLike,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct outcomes of a lesion, and how many lesions have each.

    An outcome is int64 ``[14]``: how many more images of each class the second gets right
    than the first, then images of each class.
    """
    count = len(CLASSES)
    group = np.unique(np.asarray(groups), return_inverse=True)[1]
    outcomes = np.zeros((int(group.max()) + 1, 2 * count), np.int64)
    gained = (truth == second).astype(np.int64) - (truth == first)
    np.add.at(outcomes, (group, truth), gained)
    np.add.at(outcomes, (group, count + truth), 1)
    return np.unique(outcomes, axis=0, return_counts=True)
