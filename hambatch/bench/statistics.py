"""Whether two sets of repeats differ, by how much, and whether they could have told.

Repeats are compared as logarithms, since what makes a run slower does so by a
share of its time, and a difference of logarithms is a ratio. The test is Welch's:
INT8 need not scatter as FP32 does, its interval and its p-value agree, and five
repeats are enough for it. An exact permutation test of five with five cannot go
below p = 0.008, which no correction for seven or more comparisons survives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hambatch.bench.options import REPEATS_AT_MOST

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def outside(t: float, freedom: float) -> float:
    """Compute the chance of a value further from zero than ``t``, on both sides.

    With ``t = sqrt(freedom) * tan(a)`` the density is ``cos(a) ** (freedom - 1)``
    over a finite range, which Gauss-Legendre quadrature integrates; the tests
    compare it with SciPy.

    Parameters
    ----------
    t
        At least 0; may be infinite.
    freedom
        Degrees of freedom, at least 1; need not be whole.
    """
    start = math.atan(t / math.sqrt(freedom))
    # Beyond 12 standard deviations, or 40 foldings of a far tail, nothing is left.
    half = min(math.pi / 2 - start, min(12.0, 40 / max(t, 1.0)) / math.sqrt(freedom)) / 2
    angles = start + half * (_NODES + 1)
    area = half * float(np.dot(_WEIGHTS, np.cos(angles) ** (freedom - 1)))
    log_scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    return min(1.0, 2 * area * math.exp(log_scale) / math.sqrt(math.pi))


# The search for a number of repeats asks for the same few again and again.
@lru_cache(maxsize=4096)
def critical(alpha: float, freedom: float) -> float:
    """Find the ``t`` that is exceeded, on both sides together, with the chance ``alpha``."""
    low, high = 0.0, math.pi / 2
    for _ in range(50):
        middle = (low + high) / 2
        if outside(math.sqrt(freedom) * math.tan(middle), freedom) > alpha:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


ALPHA = 0.05
"""How often a difference is announced between two runs of the same thing."""


POWER = 0.8
"""How often a change of the size that matters has to be seen."""


FEWEST = 5
"""Repeats below which the scatter is a guess, and no test is made."""


WIDEST = 600.0
"""Half of an interval of logarithms; one that is wider would be no number any more."""


ASSURANCE = 0.9
"""How sure it has to be that the repeats asked for will do, the scatter being an estimate."""


@dataclass(frozen=True)
class Difference:
    """B's repeats against A's.

    Attributes
    ----------
    ratio, low, high
        Of the geometric means, B to A, and its 95 % interval.
    p
        Two-sided.
    scatter
        Pooled standard deviation of the logarithms: 0.01 is one percent.
    freedom
        Of ``scatter``.
    """

    ratio: float
    low: float
    high: float
    p: float
    scatter: float
    freedom: int


def difference(a: Sequence[float], b: Sequence[float], alpha: float = ALPHA) -> Difference:
    """Compare the repeats of B with those of A, by Welch's test on their logarithms.

    Parameters
    ----------
    a, b
        Rates or times, all positive, at least two of each.
    alpha
        1 - the coverage of the interval.
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
    margin = min(critical(alpha, welch) * error, WIDEST)
    return Difference(
        math.exp(shift),
        math.exp(shift - margin),
        math.exp(shift + margin),
        outside(abs(shift) / error, welch),
        scatter,
        freedom,
    )


def _variance(logs: NDArray[np.float64]) -> float:
    # The mean of equal numbers may differ from them in the last digit.
    return float(logs.var(ddof=1)) if np.ptp(logs) > 0 else 0.0


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

    Parameters
    ----------
    scatter
        Standard deviation of the logarithms of the repeats.
    change
        The smallest ratio that matters, such as 1.03.
    comparisons
        How many are made at once; each has to stand the correction.

    Returns
    -------
    int
        From ``FEWEST`` to ``REPEATS_AT_MOST``, by bisection: more repeats always see more.
    """
    low, high = FEWEST - 1, REPEATS_AT_MOST
    while high - low > 1:
        middle = (low + high) // 2
        if _sees(middle, scatter, change, ALPHA / comparisons):
            high = middle
        else:
            low = middle
    return high


def _sees(repeats: int, scatter: float, change: float, alpha: float) -> bool:
    freedom = 2 * repeats - 2
    reach = critical(alpha, freedom) + critical(2 * (1 - POWER), freedom)
    return math.log(change) >= reach * scatter * math.sqrt(2 / repeats)


def scatter_at_most(scatter: float, freedom: int) -> float:
    """Bound the true scatter from above, with the confidence ``ASSURANCE``.

    A request for repeats counts on this bound and not on the estimate: half of the
    estimates are too low, and whoever measures again would be refused again.
    The quantile of chi squared is that of Wilson and Hilferty, PNAS 17:684 (1931).
    """
    part = 2 / (9 * freedom)
    z = NormalDist().inv_cdf(1 - ASSURANCE)
    quantile = freedom * (1 - part + z * math.sqrt(part)) ** 3
    return scatter * math.sqrt(freedom / quantile)
