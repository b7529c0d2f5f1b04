"""How far what INT8 costs would wander on another sample of lesions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.evaluation.confusion import label_measure
from hambatch.evaluation.draws import RESAMPLES, drawn, interval
from hambatch.evaluation.figures import Place
from hambatch.evaluation.paired import difference

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
    """Percentile bootstrap of whole lesions, as in :mod:`hambatch.evaluation.paired`.

    A draw without any melanoma says nothing about them and is left out of their interval.

    Parameters
    ----------
    truth, first, second
        int64 ``[n]``: positions in ``CLASSES``; a melanoma at least is among the truth.
    groups
        ``[n]``: the lesion of each image.
    """
    measure = difference(label_measure(truth, second), label_measure(truth, first))
    found = drawn(measure, groups, resamples=resamples, seed=seed)

    def points(place: Place) -> Interval:
        found_in_draws = interval(found[place])
        if found_in_draws is None:
            raise ValueError(f"{'.'.join(place)} is undefined in most draws: wanted a melanoma")
        low, high = found_in_draws
        return 100 * low, 100 * high

    return Intervals(points(("balanced_accuracy",)), points(("classes", "mel", "sensitivity")))
