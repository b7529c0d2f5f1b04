"""Student's t distribution, from numpy and the standard library alone."""

import math
from functools import lru_cache

import numpy as np

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
