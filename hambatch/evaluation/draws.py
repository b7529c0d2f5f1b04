"""Lesions drawn with replacement, as weights of images."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.evaluation.figures import Figures, Measure

RESAMPLES = 1000
LEVEL = 0.95

_ELEMENTS = 2**20
"""Weights held at once: 8 MB, some thirty times over while figures are worked out."""


def drawn(
    measure: Measure, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Figures:
    """Measure every draw of lesions.

    Parameters
    ----------
    measure
        Of n images.
    groups
        ``[n]``: the lesion of each image; whole lesions are drawn, as many as there are.

    Returns
    -------
    Arrays ``[resamples]``.
    """
    parts = [measure(weights) for weights in draw_weights(groups, resamples, seed)]
    return {place: np.concatenate([part[place] for part in parts]) for place in parts[0]}


def draw_weights(groups: ArrayLike, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield float64 ``[draws, n]``: how often each image is in each draw; some draws at a time.

    Lesions are numbered by their sorted names, so the order of the images
    changes nothing.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    rows = max(1, _ELEMENTS // group.size)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        lesions = rng.integers(0, names.size, (count, names.size))
        lesions += names.size * np.arange(count)[:, None]
        times = np.bincount(lesions.ravel(), minlength=count * names.size)
        yield times.reshape(count, names.size)[:, group].astype(np.float64)


def interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of the draws in which a figure is defined.

    None if that is fewer than half of them: then the draws say little about the figure.
    """
    defined = values[~np.isnan(values)]
    if 2 * defined.size < values.size:
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
    return low, high
