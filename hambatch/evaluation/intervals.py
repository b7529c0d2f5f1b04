"""From draws to intervals; where there is none, the reason."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.sample import LEVEL, Figures, Place, interval

ROUNDING = 1e-9
"""A figure and its draws are summed in another order."""


class Spans(NamedTuple):
    """``[low, high]`` by figure, None where there is none; ``missing`` says why, by its name."""

    found: dict[Place, list[float] | None]
    missing: dict[str, str]


def spans_of(
    figures: Mapping[Place, float | None],
    draws: Figures,
    level: float = LEVEL,
    known: Mapping[Place, tuple[float, float]] | None = None,
) -> Spans:
    """Give each figure the interval of its draws, or the ``known`` one.

    An interval that does not hold its own figure is refused: the draws differ from the sample,
    such as by lacking its rarest classes. A figure that is undefined has none, without a reason.
    """
    spans, known = Spans({}, {}), known or {}
    for place, values in draws.items():
        figure = figures[place]
        spans.found[place] = None
        if figure is None:
            continue
        found = known.get(place) or interval(values, level)
        if why := _problem(figure, values, found):
            spans.missing[".".join(place)] = why
        elif found is not None:
            spans.found[place] = list(found)
    return spans


def _problem(figure: float, draws: NDArray[np.float64], found: tuple[float, float] | None) -> str:
    """Say why a figure has no interval; empty if it has one."""
    if found is None:
        return f"it would divide by zero in {int(np.isnan(draws).sum())} of {draws.size} draws"
    low, high = found
    if low - ROUNDING <= figure <= high + ROUNDING:
        return ""
    return f"it is not within that of the draws, {low:.3f} to {high:.3f}: too few lesions"
