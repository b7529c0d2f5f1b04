"""How far two predictions of the same images differ, and how sure that is."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.evaluation.bootstrap import listed, undefined
from hambatch.evaluation.draws import LEVEL, RESAMPLES, drawn
from hambatch.evaluation.figures import Figures, Measure, nested, once
from hambatch.evaluation.mcnemar import mcnemar
from hambatch.evaluation.metrics import core_measure
from hambatch.evaluation.sample import Sample


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
