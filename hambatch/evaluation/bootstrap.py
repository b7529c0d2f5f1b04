"""Intervals by lesion, of figures and of paired differences; McNemar's test."""

from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.evaluation.calibration import reliability_measure
from hambatch.evaluation.measures import core_measure, isic_measure, label_measure
from hambatch.evaluation.sample import (
    LEVEL,
    RESAMPLES,
    Figures,
    Measure,
    Sample,
    below,
    drawn,
    interval,
    nested,
    once,
    together,
)

ISIC = "isic_2018_task3"

RELIABILITY = "reliability"


def bootstrap_intervals(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: ArrayLike | None = None,
    *,
    probabilities: NDArray[np.float64] | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Any]:
    """Percentile bootstrap intervals of the figures of ``evaluate`` [1]_.

    Photographs of one lesion are not independent, so whole groups are drawn,
    as many as there are, with replacement. A draw without any image of some
    class has a balanced accuracy over the others; a figure that would divide by
    zero in a draw has its interval from the other draws.

    Parameters
    ----------
    truth, predicted
        int64 ``[n]``, n > 0: positions in ``CLASSES``.
    groups
        ``[n]``: the lesion of each image; None if every image is its own.
    probabilities
        float64 ``[n, 7]``; without them, only figures of the labels have intervals.
    level
        Share of the draws inside an interval, 0 < level < 1.
    seed
        The same seed gives the same intervals, whatever the order of the images.

    Returns
    -------
    ``[low, high]`` in the places that ``evaluate`` has the figures in, and, with
    probabilities, below ``isic_2018_task3`` and ``reliability`` (by number of the
    bin); None where a figure is undefined in most draws. ``undefined_draws``:
    ``classes.df.precision`` and the like, to how many draws lack it, where it is
    some of them; ``level``, ``resamples``, ``seed``; ``groups``, how many there are.

    References
    ----------
    .. [1] Field, Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B
       69:369-390 (2007), doi:10.1111/j.1467-9868.2007.00593.x
    """
    order, sorted_groups = _in_order(truth, predicted, groups, probabilities)
    if probabilities is None:
        measure = label_measure(truth[order], predicted[order])
    else:
        sample = Sample(truth, predicted, probabilities).at(order)
        measure = together(
            core_measure(sample),
            below(ISIC, isic_measure(sample)),
            below(RELIABILITY, reliability_measure(sample)),
        )
    found = drawn(measure, sorted_groups, resamples=resamples, seed=seed)
    return {
        **nested({place: listed(values, level) for place, values in found.items()}),
        "undefined_draws": _undefined(found),
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "groups": int(np.unique(sorted_groups).size),
    }


def _in_order(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: ArrayLike | None,
    probabilities: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort the images by group, then by what is known of them; number the groups.

    Sums then run in the same order whatever the order of the images, and an image
    without a group has the same number.
    """
    known: list[NDArray[Any]] = [predicted, truth]
    if probabilities is not None:
        known = [*probabilities.T, *known]
    if groups is None:
        return np.lexsort(known), np.arange(truth.size)
    group = np.unique(np.asarray(groups), return_inverse=True)[1]
    order = np.lexsort([*known, group])
    return order, group[order]


def listed(values: NDArray[np.float64], level: float = LEVEL) -> list[float] | None:
    """Give the interval of draws as JSON has it."""
    found = interval(values, level)
    return None if found is None else list(found)


def _undefined(found: Figures) -> dict[str, int]:
    """Count the draws in which a figure would divide by zero, where it does in some only."""
    lacking = {".".join(place): np.isnan(values) for place, values in found.items()}
    return {place: int(w.sum()) for place, w in lacking.items() if w.any() and not w.all()}


def paired_figures(
    first: Sample,
    second: Sample,
    groups: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare two predictions of the same images, in the same order.

    Both are measured in the same draws of lesions, so what they share cancels.

    Returns
    -------
    ``figures``: in each place of ``evaluate``, ``first``, ``second``,
    ``difference`` (first minus second) and its ``interval``; ``mcnemar``, of the
    accuracy; ``undefined_draws``, ``level``, ``resamples``, ``seed``; the number of ``groups``.

    Raises ValueError if the truths differ.
    """
    if not np.array_equal(first.truth, second.truth):
        raise ValueError("two predictions with different truths: wanted the same images")
    measures = core_measure(first), core_measure(second)
    one, other = (once(measure, first.size) for measure in measures)
    found = drawn(difference(*measures), groups, resamples=resamples, seed=seed)
    figures = {place: _compared(one[place], other[place], found[place]) for place in found}
    return {
        "figures": nested(figures),
        "mcnemar": mcnemar(first.correct, second.correct),
        "undefined_draws": _undefined(found),
        "level": LEVEL,
        "resamples": resamples,
        "seed": seed,
        "groups": int(np.unique(np.asarray(groups)).size),
    }


def difference(first: Measure, second: Measure) -> Measure:
    """Measure how much higher the first's figures are than the second's, in every draw."""

    def measure(weights: NDArray[np.float64]) -> Figures:
        found = second(weights)
        return {place: values - found[place] for place, values in first(weights).items()}

    return measure


def _compared(
    first: float | None, second: float | None, draws: NDArray[np.float64]
) -> dict[str, Any]:
    found: dict[str, Any] = {"first": first, "second": second}
    if first is None or second is None:
        return {**found, "difference": None, "interval": None}
    return {**found, "difference": first - second, "interval": listed(draws)}


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> dict[str, Any]:
    """Test whether two predictions are equally often right, exactly and two-sided [1]_.

    Of the images that only one of them calls right, each would call half right,
    if they were equally good. Images count one by one: several photographs of a
    lesion make the p-value too small.

    Returns
    -------
    ``only_first_right``, ``only_second_right``, and ``p_value``.

    References
    ----------
    .. [1] McNemar, Psychometrika 12:153-157 (1947), doi:10.1007/BF02295996
    """
    first = int((first_right & ~second_right).sum())
    second = int((second_right & ~first_right).sum())
    n = first + second
    # Whole numbers are exact to the last digit; scipy.stats.binomtest is not.
    binomials = accumulate(
        range(min(first, second)), lambda c, k: c * (n - k) // (k + 1), initial=1
    )
    p_value: float = 2 * sum(binomials) / 2**n
    return {
        "only_first_right": first,
        "only_second_right": second,
        "p_value": min(1.0, p_value),
    }
