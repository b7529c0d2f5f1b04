"""What "refer if p >= threshold" does at many thresholds: rates, and the net benefit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.probabilities import DECIMALS
from hambatch.evaluation.operating_points import rates
from hambatch.evaluation.ranking import rank
from hambatch.evaluation.sample import Target

LOWEST, STEPS = 0.0001, 201

_LOGITS = np.linspace(-1, 1, STEPS) * np.log(1 / LOWEST - 1)

THRESHOLDS: NDArray[np.float64] = (1 / (1 + np.exp(-_LOGITS))).round(DECIMALS)
"""From 0.0001 to 0.9999, evenly on the logit scale: networks give many values near 0 and 1."""

THRESHOLD_PROBABILITIES: NDArray[np.float64] = np.arange(1, 101) / 200
"""0.005 to 0.5. Above a half, a missed case would be thought less of than a needless referral."""


def threshold_curves(found: Mapping[str, Target]) -> dict[str, dict[str, Any]]:
    """Measure each target at ``THRESHOLDS``.

    Returns
    -------
    Target to ``positives`` and ``negatives``, how many, and lists of ``STEPS`` values:
    ``threshold``, ``sensitivity`` (empty without positives), ``specificity`` (empty without
    negatives).
    """
    return {name: _rates_by_threshold(target) for name, target in found.items()}


def _rates_by_threshold(target: Target) -> dict[str, Any]:
    ranking = rank(*target)
    counts = ranking.counts(np.ones((1, target.positive.size)))
    found = rates(counts, ranking.places_of(THRESHOLDS))
    known = {"sensitivity": int(counts.true[0, -1]), "specificity": int(counts.false[0, -1])}
    return {
        "positives": known["sensitivity"],
        "negatives": known["specificity"],
        "threshold": THRESHOLDS.tolist(),
        **{name: found[name][0].tolist() if some else [] for name, some in known.items()},
    }


def decision_curves(found: Mapping[str, Target]) -> dict[str, dict[str, Any]]:
    """Net benefit of each target at ``THRESHOLD_PROBABILITIES`` [1]_.

    Whoever refers from a probability pt on holds a missed case to be as bad as (1 - pt) / pt
    needless referrals. The net benefit is the share of true referrals, less the share of needless
    ones at that rate of exchange: ``TP / n - FP / n * pt / (1 - pt)``.

    Returns
    -------
    Target to ``prevalence`` and lists of equal length: ``threshold_probability``, and the net
    benefit of the ``model``, of ``refer_all`` and of ``refer_none``, which is 0.

    References
    ----------
    .. [1] Vickers, Elkin, "Decision Curve Analysis", Med. Decis. Making 26:565-574 (2006),
       doi:10.1177/0272989X06295361
    """
    return {name: _net_benefits(target) for name, target in found.items()}


def _net_benefits(target: Target) -> dict[str, Any]:
    ranking, n = rank(*target), target.positive.size
    counts = ranking.counts(np.ones((1, n)))
    places = ranking.places_of(THRESHOLD_PROBABILITIES)
    exchange = THRESHOLD_PROBABILITIES / (1 - THRESHOLD_PROBABILITIES)
    model, everyone = (
        (counts.true[0, at] - counts.false[0, at] * exchange) / n for at in (places, -1)
    )
    return {
        "prevalence": float(counts.true[0, -1] / n),
        "threshold_probability": THRESHOLD_PROBABILITIES.tolist(),
        "model": model.tolist(),
        "refer_all": everyone.tolist(),
        "refer_none": [0.0] * exchange.size,
    }
