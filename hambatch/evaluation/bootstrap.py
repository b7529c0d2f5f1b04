"""Intervals by lesion, of figures and of paired differences; McNemar's test."""

from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.evaluation.calibration import gap_measure, reliability_measure
from hambatch.evaluation.calibration_interval import Deviations, deviations_of, known_intervals
from hambatch.evaluation.intervals import Spans, spans_of
from hambatch.evaluation.measures import core_measure, isic_measure, label_measure
from hambatch.evaluation.sample import (
    LEVEL,
    RESAMPLES,
    Figures,
    Measure,
    Place,
    Sample,
    below,
    drawn,
    nested,
    once,
    together,
)

ISIC = "isic_2018_task3"

RELIABILITY = "reliability"

GAPS, GAPS_OF_SECOND = "gaps", "gaps of the second"
"""Where draws have the gaps of the bins, which only intervals are made from."""


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
    """Bootstrap intervals of the figures of ``evaluate`` [1]_.

    Photographs of one lesion are not independent, so whole groups are drawn,
    as many as there are, with replacement. A draw without any image of some
    class has a balanced accuracy over the others; a figure that would divide by
    zero in a draw has its interval from the other draws. Intervals are percentiles, but those of
    calibration errors: see :mod:`hambatch.evaluation.calibration_interval`.

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
    bin); each holds its figure, or is None. ``no_interval``: ``classes.df.precision`` and the
    like, to why it has none. ``undefined_draws``: to how many draws lack it, where it is
    some of them; ``level``, ``resamples``, ``seed``; ``groups``, how many there are.

    References
    ----------
    .. [1] Field, Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B
       69:369-390 (2007), doi:10.1111/j.1467-9868.2007.00593.x
    """
    order, sorted_groups = _in_order(truth, predicted, groups, probabilities)
    if probabilities is None:
        measure = label_measure(truth[order], predicted[order])
        found = drawn(measure, sorted_groups, resamples=resamples, seed=seed)
        spans = spans_of(once(measure, truth.size), found, level)
    else:
        sample = Sample(truth, predicted, probabilities).at(order)
        measure = together(
            core_measure(sample),
            below(ISIC, isic_measure(sample)),
            below(RELIABILITY, reliability_measure(sample)),
        )
        found, spans = with_calibration(
            measure, sample, sorted_groups, level=level, resamples=resamples, seed=seed
        )
    return {
        **nested(spans.found),
        "no_interval": spans.missing,
        "undefined_draws": _undefined(found),
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "groups": _count(sorted_groups),
    }


def with_calibration(
    measure: Measure,
    sample: Sample,
    groups: ArrayLike,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Figures, Spans]:
    """Draw figures of a sample, its calibration errors among them; give draws and intervals."""
    both = together(measure, below(GAPS, gap_measure(sample)))
    found = drawn(both, groups, resamples=resamples, seed=seed)
    errors = deviations_of(sample, _taken(found, GAPS), _count(groups))
    figures = once(measure, sample.size)
    return found, spans_of(figures, found, level, known_intervals(figures, errors, level))


def _count(groups: ArrayLike) -> int:
    return int(np.unique(np.asarray(groups)).size)


def _taken(found: Figures, name: str) -> Figures:
    """Take the values below a name out of those of all draws."""
    return {place[1:]: found.pop(place) for place in list(found) if place[0] == name}


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
    accuracy; ``no_interval``, ``undefined_draws``, ``level``, ``resamples``, ``seed``; the
    number of ``groups``.

    Raises ValueError if the truths differ.
    """
    if not np.array_equal(first.truth, second.truth):
        raise ValueError("two predictions with different truths: wanted the same images")
    measures = core_measure(first), core_measure(second)
    one, other = (once(measure, first.size) for measure in measures)
    both = together(
        difference(*measures),
        below(GAPS, gap_measure(first)),
        below(GAPS_OF_SECOND, gap_measure(second)),
    )
    found = drawn(both, groups, resamples=resamples, seed=seed)
    errors = _deviations_between(first, second, found, _count(groups))
    differences = {place: _difference(one[place], other[place]) for place in found}
    spans = spans_of(differences, found, known=known_intervals(differences, errors, lowest=-1.0))
    figures = {
        place: {
            "first": one[place],
            "second": other[place],
            "difference": differences[place],
            "interval": span,
        }
        for place, span in spans.found.items()
    }
    return {
        "figures": nested(figures),
        "mcnemar": mcnemar(first.correct, second.correct),
        "no_interval": spans.missing,
        "undefined_draws": _undefined(found),
        "level": LEVEL,
        "resamples": resamples,
        "seed": seed,
        "groups": _count(groups),
    }


def _deviations_between(
    first: Sample, second: Sample, found: Figures, groups: int
) -> dict[Place, Deviations]:
    """Take those of the differences of both calibration errors, and their gaps out of the draws."""
    mine = deviations_of(first, _taken(found, GAPS), groups)
    theirs = deviations_of(second, _taken(found, GAPS_OF_SECOND), groups)
    return {place: mine[place].minus(theirs[place]) for place in mine}


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second


def difference(first: Measure, second: Measure) -> Measure:
    """Measure how much higher the first's figures are than the second's, in every draw."""

    def measure(weights: NDArray[np.float64]) -> Figures:
        found = second(weights)
        return {place: values - found[place] for place, values in first(weights).items()}

    return measure


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
