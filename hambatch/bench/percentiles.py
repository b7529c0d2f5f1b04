"""Percentiles of latencies, and how many samples one needs before it means something."""

import math
from collections.abc import Sequence
from fractions import Fraction

CONFIDENCE = 0.99
"""How sure it has to be that a percentile lies inside what was sampled."""


def samples_needed(percentile: float, confidence: float = CONFIDENCE) -> int:
    """Count the samples whose largest is above the percentile, with that confidence.

    Free of any distribution: all of ``n`` independent samples are below the
    percentile with the chance ``(percentile / 100) ** n``. For 99 %: p50 needs 7,
    p90 44, p95 90, p99 459.

    MLPerf's LoadGen is stricter by one sample for its single-stream scenario: its
    early-stopping estimate wants the *second* largest above the percentile, so 64
    for p90 and 662 for p99, and reports that bound instead of the percentile [1]_.
    Here the percentile itself is reported, and left out with fewer than these.

    Raises
    ------
    ValueError
        If the percentile is not within 0 and 100, or the confidence within 0 and 1.

    References
    ----------
    .. [1] https://github.com/mlcommons/inference/blob/master/loadgen/early_stopping.cc
    """
    if not 0 < percentile < 100:
        raise ValueError(f"percentile {percentile}, wanted more than 0 and less than 100")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}, wanted more than 0 and less than 1")
    return math.ceil(math.log1p(-confidence) / math.log(percentile / 100))


def percentile(samples_ms: Sequence[float], p: float) -> float | None:
    """Estimate a percentile; None with fewer than :func:`samples_needed`.

    The nearest rank: the smallest sample that ``p`` percent of the samples do not
    exceed. It is always a latency that was measured, never one between two.

    Parameters
    ----------
    samples_ms
        Latencies in milliseconds, in any order.
    p
        0 < p < 100.
    """
    if len(samples_ms) < samples_needed(p):
        return None
    # In fractions: 99.9 / 100 * 1000 is a little over 999 in binary.
    rank = math.ceil(Fraction(str(p)) / 100 * len(samples_ms))
    return float(sorted(samples_ms)[rank - 1])
