"""Figures of many draws at once, and where they stand in a report."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Place = tuple[str, ...]
"""Where a figure stands in a report, such as ``("classes", "mel", "f1")``."""

Figures = dict[Place, NDArray[np.float64]]
"""Values of figures, float64 ``[draws]`` each; NaN where a figure would divide by zero."""

Measure = Callable[[NDArray[np.float64]], Figures]
"""From the weight of every image, float64 ``[draws, n]``, to the figures of every draw."""


def together(*measures: Measure) -> Measure:
    """Join measures of the same images."""
    return lambda weights: {
        place: values for measure in measures for place, values in measure(weights).items()
    }


def below(name: str, measure: Measure) -> Measure:
    """Put the figures of a measure one level down, under ``name``."""
    return lambda weights: {(name, *place): values for place, values in measure(weights).items()}


def once(measure: Measure, images: int) -> dict[Place, float | None]:
    """Measure the sample itself, every image with weight 1; None is a division by zero."""
    found = measure(np.ones((1, images)))
    return {place: number(values[0]) for place, values in found.items()}


def number(value: float) -> float | None:
    """Give a float that JSON can hold."""
    return None if np.isnan(value) else float(value)


def nested(values: Mapping[Place, Any]) -> dict[str, Any]:
    """Turn places into dictionaries within dictionaries, in the order they come."""
    report: dict[str, Any] = {}
    for place, value in values.items():
        level = report
        for name in place[:-1]:
            level = level.setdefault(name, {})
        level[place[-1]] = value
    return report


def ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; NaN where ``whole`` is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    quotient: NDArray[np.float64] = np.full(part.shape, np.nan)
    return np.divide(part, whole, out=quotient, where=whole != 0)


def mean_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over the last axis what is not NaN; NaN if nothing is left."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return ratio(total, defined.sum(axis=-1).astype(np.float64))


def weighted_mean(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average ``values`` ``[n]`` in every draw."""
    return ratio(weights @ values, weights.sum(axis=1))
