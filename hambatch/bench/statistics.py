"""Whether two sets of repeats differ, by how much, and how many repeats it takes to tell.

Repeats are compared as logarithms: what makes a run slower does so by a share of its time, and a
difference of logarithms is a ratio. The test is Welch's: INT8 need not scatter as FP32 does, its
interval and its p-value agree, and five repeats are enough for it. An exact permutation test of
five with five cannot go below p = 0.008, too much for a correction for seven comparisons.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, stdtr, stdtrit

from hambatch.bench.options import REPEATS_AT_MOST

ALPHA = 0.05
"""How often a difference is announced between two runs of the same thing."""

POWER = 0.8
"""How often a change of the size that matters has to be seen."""

FEWEST = 5
"""Repeats below which the scatter is a guess, and no test is made."""

WIDEST = 600.0
"""Half of an interval of logarithms; ``exp`` of a wider one overflows."""

ASSURANCE = 0.9
"""Confidence that the requested repeats are enough: the scatter is only an estimate."""


@dataclass(frozen=True)
class Difference:
    """B's repeats against A's: the ratio of their geometric means, and its interval.

    ``p`` is two-sided; ``scatter`` is the pooled standard deviation of the logarithms, of
    ``freedom`` degrees: 0.01 is one percent.
    """

    ratio: float
    low: float
    high: float
    p: float
    scatter: float
    freedom: int


def difference(a: Sequence[float], b: Sequence[float], alpha: float = ALPHA) -> Difference:
    """Compare the repeats of B with those of A, by Welch's test on their logarithms.

    They are rates or times, all positive, at least two of each; the interval covers 1 - ``alpha``.
    """
    x, y = np.log(np.asarray(a, float)), np.log(np.asarray(b, float))
    shift = float(y.mean() - x.mean())
    share_x, share_y = _variance(x) / len(x), _variance(y) / len(y)
    error = math.sqrt(share_x + share_y)
    pooled = share_x * len(x) * (len(x) - 1) + share_y * len(y) * (len(y) - 1)
    freedom = len(x) + len(y) - 2
    scatter = math.sqrt(pooled / freedom)
    if error == 0:  # every repeat the same: nothing is left to chance
        ratio = math.exp(shift)
        return Difference(ratio, ratio, ratio, float(shift == 0), scatter, freedom)
    welch = error**4 / (share_x**2 / (len(x) - 1) + share_y**2 / (len(y) - 1))
    margin = min(_exceeded(alpha, welch) * error, WIDEST)
    return Difference(
        math.exp(shift),
        math.exp(shift - margin),
        math.exp(shift + margin),
        2 * float(stdtr(welch, -abs(shift) / error)),
        scatter,
        freedom,
    )


def _variance(logs: NDArray[np.float64]) -> float:
    # The mean of equal numbers may differ from them in the last digit.
    return float(logs.var(ddof=1)) if np.ptp(logs) > 0 else 0.0


def _exceeded(alpha: float, freedom: float) -> float:
    """Give the ``t`` that is exceeded, on both sides together, with the chance ``alpha``."""
    return float(stdtrit(freedom, 1 - alpha / 2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, so that all of them together err in ``ALPHA``.

    Holm, Scand. J. Stat. 6:65 (1979).
    """
    corrected = [1.0] * len(p_values)
    reached = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = reached
    return corrected


def repeats_needed(scatter: float, change: float, comparisons: int = 1) -> int:
    """Count the repeats a side that see a change four times out of five.

    ``scatter`` is the standard deviation of their logarithms, ``change`` the smallest ratio that
    matters, such as 1.03, ``comparisons`` how many are made at once: each has to stand the
    correction. From ``FEWEST`` to ``REPEATS_AT_MOST``, by bisection: more repeats always see more.
    """

    def enough(repeats: int) -> bool:
        freedom = 2 * repeats - 2
        reach = _exceeded(ALPHA / comparisons, freedom) + _exceeded(2 * (1 - POWER), freedom)
        return math.log(change) >= reach * scatter * math.sqrt(2 / repeats)

    return FEWEST + bisect_left(range(FEWEST, REPEATS_AT_MOST), True, key=enough)


def scatter_at_most(scatter: float, freedom: int) -> float:
    """Bound the true scatter from above, with the confidence ``ASSURANCE``.

    A request for repeats counts on this bound and not on the estimate: half of the
    estimates are too low, and a second measurement would be refused again.
    """
    return scatter * math.sqrt(freedom / float(chdtri(freedom, ASSURANCE)))
