"""Calibration errors by their definitions, against loops and scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.calibration import BINS, SMALLEST, equal_width_bins, reliability_bins
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.sample import Sample


def case(seed=0, n=300, sharpness=2.0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 7, n)
    logits = sharpness * (rng.normal(size=(n, 7)) + np.eye(7)[truth])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Sample(truth, p.argmax(axis=1), p)


def measured(sample):
    return evaluate(sample.truth, sample.predicted, sample.probabilities)


def ece_by_a_loop(sample, edges):
    total = 0.0
    for low, high in pairwise(edges):
        inside = (sample.confidence > low) & (sample.confidence <= high)
        if inside.any():
            gap = sample.correct[inside].mean() - sample.confidence[inside].mean()
            total += inside.mean() * abs(gap)
    return total


@pytest.mark.parametrize("seed", range(3))
def test_the_expected_error_is_that_of_its_definition(seed):
    sample = case(seed)
    wanted = ece_by_a_loop(sample, np.linspace(0, 1, BINS + 1))
    assert measured(sample)["ece"] == pytest.approx(wanted)
    edges = np.quantile(sample.confidence, np.linspace(0, 1, BINS + 1))
    edges[0], edges[-1] = 0, 1
    assert measured(sample)["ece_equal_mass"] == pytest.approx(ece_by_a_loop(sample, edges))


def test_certainty_that_is_right_half_of_the_time_is_wrong_by_a_half():
    truth = np.array([0, 1, 2, 3])
    predicted = np.array([0, 1, 3, 2])
    figures = evaluate(truth, predicted, np.eye(7)[predicted])
    assert figures["ece"] == figures["ece_equal_mass"] == 0.5
    assert figures["brier"] == pytest.approx(1.0)
    assert figures["log_loss"] == pytest.approx(-np.log(SMALLEST) / 2)


@pytest.mark.parametrize("seed", range(3))
def test_brier_and_log_loss_equal_scikit_learn(seed):
    sample = case(seed)
    found = measured(sample)
    loss = sklearn_metrics.log_loss(sample.truth, sample.probabilities, labels=range(7))
    assert found["log_loss"] == pytest.approx(loss)
    by_class = [
        sklearn_metrics.brier_score_loss(sample.truth == k, sample.probabilities[:, k])
        for k in range(len(CLASSES))
    ]
    assert found["brier"] == pytest.approx(sum(by_class))


def test_a_bound_belongs_to_the_bin_below_it():
    assert equal_width_bins(np.array([0.0, 1e-9, 0.2, 0.200001, 1.0])).tolist() == [0, 0, 2, 3, 14]


def test_the_bins_of_the_diagram_hold_every_image_once_and_give_the_error():
    sample = case()
    bins = reliability_bins(sample)
    assert [b["low"] for b in bins] == pytest.approx(np.arange(BINS) / BINS)
    assert sum(b["n"] for b in bins) == sample.size
    gaps = [b["n"] * abs(b["accuracy"] - b["confidence"]) for b in bins if b["n"]]
    assert sum(gaps) / sample.size == pytest.approx(measured(sample)["ece"])
    assert bins[0] == {
        **{"low": 0.0, "high": 1 / BINS, "n": 0},
        **{"confidence": None, "accuracy": None},
    }
