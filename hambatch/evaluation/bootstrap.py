"""Intervals by lesion, of figures and of paired differences; McNemar's test."""

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


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> dict[str, Any]:
    """Test whether two predictions are equally often right, exactly and two-sided [1]_.

    Of the images that only one of them calls right, each would call half right,
    if they were equally good. Images count one by one: several photographs of a
    lesion make the test too sure of itself.

    Returns
    -------
    ``only_first_right``, ``only_second_right``, and ``p_value``.

    References
    ----------
    .. [1] McNemar, Psychometrika 12:153-157 (1947), doi:10.1007/BF02295996
    """
    first = int((first_right & ~second_right).sum())
    second = int((second_right & ~first_right).sum())
    return {
        "only_first_right": first,
        "only_second_right": second,
        "p_value": _two_sided(first, first + second),
    }


def _two_sided(heads: int, tosses: int) -> float:
    """Twice the chance of so few, or so many, heads of a fair coin; 1 at most."""
    rarer = min(heads, tosses - heads)
    # Whole numbers: exact for any number of tosses.
    ways = term = 1
    for k in range(rarer):
        term = term * (tosses - k) // (k + 1)
        ways += term
    chance: float = 2 * ways / 2**tosses
    return min(1.0, chance)


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
    resamples
        Number of draws.
    level
        Share of the draws inside an interval, 0 < level < 1.
    seed
        The same seed gives the same intervals, in whatever order the images come.

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
        measure = _everything(Sample(truth, predicted, probabilities).at(order))
    found = drawn(measure, sorted_groups, resamples=resamples, seed=seed)
    return {
        **nested({place: listed(values, level) for place, values in found.items()}),
        "undefined_draws": undefined(found),
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "groups": int(np.unique(sorted_groups).size),
    }


def listed(values: NDArray[np.float64], level: float = LEVEL) -> list[float] | None:
    """Give an interval as JSON has it."""
    found = interval(values, level)
    return None if found is None else list(found)


def undefined(found: Figures) -> dict[str, int]:
    """Count the draws in which a figure would divide by zero, where it does in some only."""
    lacking = {".".join(place): np.isnan(values) for place, values in found.items()}
    return {place: int(w.sum()) for place, w in lacking.items() if w.any() and not w.all()}


def _everything(sample: Sample) -> Measure:
    return together(
        core_measure(sample),
        below(ISIC, isic_measure(sample)),
        below(RELIABILITY, reliability_measure(sample)),
    )


def _in_order(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: ArrayLike | None,
    probabilities: NDArray[np.float64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort the images by group, then by what is known of them; number the groups.

    Whatever order they came in, sums then run in the same order, and an image
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
    accuracy; ``undefined_draws``, ``level``, ``resamples``, ``seed``; ``groups``,
    how many there are.

    Raises
    ------
    ValueError
        If the truths differ.
    """
    if not np.array_equal(first.truth, second.truth):
        raise ValueError("two predictions with different truths: wanted the same images")
    measures = core_measure(first), core_measure(second)
    before = [once(measure, first.size) for measure in measures]
    found = drawn(difference(*measures), groups, resamples=resamples, seed=seed)
    figures = {
        place: _compared(before[0][place], before[1][place], values)
        for place, values in found.items()
    }
    return {
        "figures": nested(figures),
        "mcnemar": mcnemar(first.correct, second.correct),
        "undefined_draws": undefined(found),
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
    known = first is not None and second is not None
    return {
        "first": first,
        "second": second,
        "difference": first - second if first is not None and second is not None else None,
        "interval": listed(draws) if known else None,
    }
