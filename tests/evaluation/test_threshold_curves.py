"""Curves by threshold are those of the rule, image by image."""

import numpy as np
import pytest

from hambatch.evaluation.sample import Target
from hambatch.evaluation.threshold_curves import (
    STEPS,
    THRESHOLD_PROBABILITIES,
    THRESHOLDS,
    decision_curves,
    threshold_curves,
)


def made(seed):
    """Probabilities of which many tie, some of them at a threshold of the curves."""
    rng = np.random.default_rng(seed)
    positive = rng.random(80) < 0.3
    scores = np.where(rng.random(80) < 0.3, rng.choice(THRESHOLDS, 80), rng.random(80).round(2))
    return Target(positive, scores.round(6))


@pytest.mark.parametrize("seed", range(3))
def test_rates_are_those_of_counting_at_every_threshold(seed):
    target = made(seed)
    curve = threshold_curves({"x": target})["x"]
    assert len(curve["threshold"]) == STEPS
    assert curve["threshold"] == sorted(set(curve["threshold"]))
    for t, sensitivity, specificity in zip(
        curve["threshold"], curve["sensitivity"], curve["specificity"], strict=True
    ):
        referred = target.scores >= t
        assert sensitivity == pytest.approx(referred[target.positive].mean())
        assert specificity == pytest.approx(1 - referred[~target.positive].mean())


def test_thresholds_are_numbers_that_a_table_can_hold():
    assert THRESHOLDS.tolist() == [float(f"{t:.6f}") for t in THRESHOLDS]
    assert {0.0001, 0.5, 0.9999} <= set(THRESHOLDS.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_net_benefit_is_the_formula_of_vickers_and_elkin(seed):
    target = made(seed)
    curve, n = decision_curves({"x": target})["x"], 80
    assert curve["threshold_probability"] == [k / 200 for k in range(1, 101)]
    for k, pt in enumerate(THRESHOLD_PROBABILITIES):
        every = np.ones(n, bool)
        for name, referred in (("model", target.scores >= pt), ("refer_all", every)):
            hits, needless = (referred & target.positive).sum(), (referred & ~target.positive).sum()
            assert curve[name][k] == pytest.approx(hits / n - needless / n * pt / (1 - pt))
        assert curve["refer_none"][k] == 0


def test_without_negatives_refer_all_is_best_and_without_positives_nothing_is():
    scores = np.array([0.2, 0.7])
    found = {"ill": Target(np.array([True, True]), scores)}
    found["well"] = Target(np.array([False, False]), scores)
    curves, rates = decision_curves(found), threshold_curves(found)
    assert set(curves["ill"]["refer_all"]) == {1.0}
    assert max(curves["well"]["model"]) <= 0
    assert (rates["ill"]["specificity"], rates["well"]["sensitivity"]) == ([], [])
    assert rates["well"]["specificity"][0] == 0
