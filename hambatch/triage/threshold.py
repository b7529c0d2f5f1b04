"""The largest threshold that keeps a sensitivity, with the confidence that a choice among many has.

Thresholds of a grid that is fixed here, before any label is seen, are tested upwards from 0. Each
test is exact: would so few lesions be missed if the true sensitivity were lower than wanted? The
first threshold that fails ends it [1]_. To be wrong, the first threshold whose true sensitivity is
too low has to pass, and it is tested once: choosing costs no confidence, however fine the grid.

References
----------
.. [1] Angelopoulos, Bates, Candes, Jordan, Lei, "Learn then test: calibrating predictive algorithms
   to achieve risk control", arXiv:2110.01052 (2021): fixed sequence testing
"""

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.referral import UNIT

METHOD = "clopper-pearson-by-lesion.1"
"""Name and version of what stands here, in every certificate."""

STEP = 100
"""Of the grid, in millionths: 0.0001.

A finer grid would cost no confidence. Four decimals can be read and typed, and few scores lie as
near to a threshold as another processor moves them: 9e-7 in FP32 (docs/engine-format.md). Scores
crowd near 0, where thresholds of high sensitivity lie, so three decimals would refer more images.
"""

GRID: NDArray[np.int64] = np.arange(0, UNIT, STEP)
"""int64 ``[10000]``: 0 to 0.9999, in millionths. At 1 a net benefit is not defined."""


def certified_threshold(
    scores: NDArray[np.int64], sensitivity: float, confidence: float
) -> int | None:
    """Give the largest threshold, in millionths, that passes with all those below it.

    Parameters
    ----------
    scores
        int64 ``[n]``, n > 0: of each lesion of the target its lowest score, in millionths. A lesion
        is missed if that is below the threshold.

    Returns
    -------
    None: not even 0 passes, which misses nothing, as there are too few lesions. 0: no other does.
    """
    passes = chances(scores, sensitivity) <= 1 - confidence
    if not passes[0]:
        return None
    tested = int(passes.argmin()) if not passes.all() else passes.size
    return int(GRID[tested - 1])


def chances(scores: NDArray[np.int64], sensitivity: float) -> NDArray[np.float64]:
    """Give each threshold's chance to miss so few lesions, if its sensitivity were this one.

    That is the p-value of the exact binomial test: at most 1 - confidence where the one-sided
    lower bound of Clopper and Pearson is at least the sensitivity. float64, one for each of
    ``GRID``, which never falls.
    """
    from scipy.stats import binom

    missed = np.searchsorted(np.sort(scores), GRID, side="left")
    found: NDArray[np.float64] = binom.cdf(missed, scores.size, 1 - sensitivity)
    return found


def lower_bound(missed: int, lesions: int, confidence: float) -> float:
    """Bound a sensitivity from below, one-sided and exactly [1]_.

    References
    ----------
    .. [1] Clopper, Pearson, Biometrika 26:404-413 (1934), doi:10.1093/biomet/26.4.404
    """
    from scipy.stats import beta

    if missed == lesions:
        return 0.0
    return float(beta.ppf(1 - confidence, lesions - missed, missed + 1))


def needed_lesions(missed: int, sensitivity: float, confidence: float) -> int:
    """Give the fewest lesions that prove a sensitivity if so many of them are missed.

    >>> [needed_lesions(missed, 0.95, 0.95) for missed in (0, 1, 2)]
    [59, 93, 124]
    """
    from scipy.stats import nbinom

    return int(nbinom.ppf(confidence, missed + 1, 1 - sensitivity)) + missed + 1


def most_missed(lesions: int, sensitivity: float, confidence: float) -> int:
    """Give how many of so many lesions may be missed; -1: they are too few."""
    from scipy.stats import binom

    found = binom.cdf(np.arange(lesions + 1), lesions, 1 - sensitivity) <= 1 - confidence
    return int(found.sum()) - 1
