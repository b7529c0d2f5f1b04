"""Differences of two predictions of the same images."""

import numpy as np
import pytest

from hambatch.evaluation.bootstrap import paired_figures
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.sample import Sample


def case(seed=0, n=280):
    """Two predictions: the second is the first with noise, so somewhat worse."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 7
    logits = rng.normal(size=(n, 7)) + 2 * np.eye(7)[truth]
    samples = []
    for noise in (0.0, 0.8):
        noisy = logits + noise * rng.normal(size=(n, 7))
        p = np.exp(noisy) / np.exp(noisy).sum(axis=1, keepdims=True)
        samples.append(Sample(truth, p.argmax(axis=1), p))
    return samples


def test_each_figure_stands_with_its_difference_and_interval():
    first, second = case()
    found = paired_figures(first, second, np.arange(280) // 2)
    assert found["groups"] == 140
    alone = [evaluate(s.truth, s.predicted, s.probabilities) for s in (first, second)]
    for name in ("accuracy", "balanced_accuracy", "roc_auc_malignant", "ece", "log_loss"):
        one = found["figures"][name]
        assert (one["first"], one["second"]) == (alone[0][name], alone[1][name])
        assert one["difference"] == pytest.approx(alone[0][name] - alone[1][name])
        assert one["interval"][0] < one["difference"] < one["interval"][1]
    mel = found["figures"]["classes"]["mel"]["sensitivity"]
    assert mel["first"] == alone[0]["classes"]["mel"]["sensitivity"]


def test_a_table_differs_from_itself_by_nothing():
    first, _ = case()
    found = paired_figures(first, first, np.arange(280))
    for name in ("accuracy", "roc_auc_melanoma", "ece", "brier"):
        assert found["figures"][name]["difference"] == 0
        assert found["figures"][name]["interval"] == [0, 0]
    assert found["mcnemar"]["p_value"] == 1


def test_swapping_the_tables_swaps_the_signs():
    first, second = case()
    one = paired_figures(first, second, np.arange(280))["figures"]["accuracy"]
    other = paired_figures(second, first, np.arange(280))["figures"]["accuracy"]
    assert other["difference"] == -one["difference"]
    assert other["interval"] == pytest.approx([-one["interval"][1], -one["interval"][0]])


def test_a_figure_that_one_of_them_lacks_has_no_difference():
    truth = np.array([5, 5, 0])
    first = Sample(truth, np.array([5, 5, 0]), np.eye(7)[[5, 5, 0]])
    second = Sample(truth, np.array([5, 5, 5]), np.eye(7)[[5, 5, 5]])
    found = paired_figures(first, second, np.arange(3))["figures"]["classes"]["akiec"]
    assert found["precision"] == {
        **{"first": 1, "second": None},
        **{"difference": None, "interval": None},
    }


def test_other_images_are_refused():
    first, second = case()
    with pytest.raises(ValueError, match="the same images"):
        paired_figures(first, second.at(np.arange(279, -1, -1)), np.arange(280))
