"""Intervals by lesion, differences of two predictions, and McNemar's test."""

import numpy as np
import pytest
from scipy.stats import binomtest

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.bootstrap import bootstrap_intervals, mcnemar, paired_figures
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.sample import Sample


def case(seed=0, n=300):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 7, n)
    return truth, np.where(rng.random(n) < 0.7, truth, rng.integers(0, 7, n))


def width(interval):
    return interval[1] - interval[0]


def test_lesions_that_repeat_widen_the_interval():
    truth, predicted = (np.repeat(labels, 4) for labels in case())
    lesions = np.repeat([f"HAM_{k}" for k in range(300)], 4)
    by_image = bootstrap_intervals(truth, predicted)
    by_lesion = bootstrap_intervals(truth, predicted, lesions)
    assert (by_image["groups"], by_lesion["groups"]) == (1200, 300)
    for name in ("accuracy", "balanced_accuracy"):
        # Four copies of everything: the standard error is twice what images would say.
        assert width(by_lesion[name]) / width(by_image[name]) == pytest.approx(2, abs=0.25)


def test_it_agrees_with_drawing_lesions_one_by_one():
    rng = np.random.default_rng(1)
    truth, predicted = case(n=240)
    lesions = rng.integers(0, 100, 240)
    members = [np.flatnonzero(lesions == k) for k in np.unique(lesions)]
    accuracy, balanced = [], []
    for _ in range(2000):
        drawn = np.concatenate([members[k] for k in rng.integers(0, len(members), len(members))])
        right = truth[drawn] == predicted[drawn]
        accuracy.append(right.mean())
        balanced.append(np.mean([right[truth[drawn] == k].mean() for k in range(7)]))
    found = bootstrap_intervals(truth, predicted, lesions, resamples=20_000)
    assert found["accuracy"] == pytest.approx(np.quantile(accuracy, [0.025, 0.975]), abs=0.01)
    assert found["balanced_accuracy"] == pytest.approx(
        np.quantile(balanced, [0.025, 0.975]), abs=0.01
    )


def test_the_same_seed_gives_the_same_intervals_in_any_order():
    truth, predicted = case()
    lesions = np.arange(300) // 2
    order = np.random.default_rng(3).permutation(300)
    first = bootstrap_intervals(truth, predicted, lesions, seed=5)
    assert bootstrap_intervals(truth[order], predicted[order], lesions[order], seed=5) == first
    assert bootstrap_intervals(truth, predicted, lesions, seed=6) != first


def test_a_draw_without_a_class_does_not_divide_by_zero():
    truth = np.array([0] + [5] * 20)
    found = bootstrap_intervals(truth, truth)
    assert found["balanced_accuracy"] == [1, 1]


def with_probabilities(seed=0, n=300):
    """Probabilities of two decimals, better than chance; two images a lesion."""
    rng = np.random.default_rng(seed)
    truth = np.append(np.arange(7).repeat(2), rng.integers(0, 7, n - 14))
    logits = rng.normal(size=(n, 7)) + 1.5 * np.eye(7)[truth]
    p = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).round(2)
    return truth, p.argmax(axis=1), p, np.arange(n) // 2


def test_every_figure_has_an_interval_that_agrees_with_drawing_lesions_one_by_one():
    truth, predicted, p, lesions = with_probabilities()
    rng = np.random.default_rng(9)
    members = [np.flatnonzero(lesions == k) for k in range(150)]
    draws = []
    for _ in range(400):
        at = np.concatenate([members[k] for k in rng.integers(0, 150, 150)])
        draws.append(evaluate(truth[at], predicted[at], p[at]))
    found = bootstrap_intervals(truth, predicted, lesions, probabilities=p, resamples=4000)
    of_errors = {"ece", "ece_equal_mass"}  # see test_calibration_interval.py
    for name in draws[0].keys() - {"n", "classes", "confusion_matrix"} - of_errors:
        ends = np.quantile([draw[name] for draw in draws], [0.025, 0.975])
        assert found[name] == pytest.approx(ends, abs=0.3 * (ends[1] - ends[0])), name
    for name in CLASSES:
        for figure, mine in found["classes"][name].items():
            values = [draw["classes"][name][figure] for draw in draws]
            ends = np.nanquantile(np.array(values, float), [0.025, 0.975])
            assert mine == pytest.approx(ends, abs=0.3 * (ends[1] - ends[0])), (name, figure)


def test_with_probabilities_the_order_of_the_images_does_not_matter_either():
    truth, predicted, p, lesions = with_probabilities()
    order = np.random.default_rng(3).permutation(300)
    shuffled = truth[order], predicted[order]
    for groups in (lesions, None):
        first = bootstrap_intervals(truth, predicted, groups, probabilities=p)
        mixed = None if groups is None else groups[order]
        assert bootstrap_intervals(*shuffled, mixed, probabilities=p[order]) == first


def test_labels_have_the_same_intervals_without_probabilities():
    truth, predicted, p, lesions = with_probabilities()
    bare = bootstrap_intervals(truth, predicted, lesions)
    full = bootstrap_intervals(truth, predicted, lesions, probabilities=p)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "groups"):
        assert bare[name] == full[name]
    assert "ece" not in bare


def test_draws_that_lack_a_figure_are_counted_and_left_out():
    truth = np.array([0, *[5] * 30])
    predicted = np.array([0, *[5] * 30])
    found = bootstrap_intervals(truth, predicted, probabilities=np.eye(7)[predicted])
    # A draw misses the one image of the class with a chance of about 1 / e.
    missed = found["undefined_draws"]["classes.akiec.sensitivity"]
    assert missed / 1000 == pytest.approx(np.exp(-1), abs=0.06)
    assert found["classes"]["akiec"]["sensitivity"] == [1, 1]
    assert found["classes"]["df"]["sensitivity"] is None
    assert "classes.df.sensitivity" not in found["undefined_draws"]


def test_draws_in_portions_are_the_draws_at_once(monkeypatch):
    truth, predicted, _, lesions = with_probabilities()
    whole = bootstrap_intervals(truth, predicted, lesions, resamples=100)
    monkeypatch.setattr("hambatch.evaluation.sample._ELEMENTS", 7 * 300)
    assert bootstrap_intervals(truth, predicted, lesions, resamples=100) == whole


def pair(seed=0, n=280):
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
    first, second = pair()
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
    first, _ = pair()
    found = paired_figures(first, first, np.arange(280))
    for name in ("accuracy", "roc_auc_melanoma", "ece", "brier"):
        assert found["figures"][name]["difference"] == 0
        assert found["figures"][name]["interval"] == [0, 0]
    assert found["mcnemar"]["p_value"] == 1


def test_swapping_the_tables_swaps_the_signs():
    first, second = pair()
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
    first, second = pair()
    with pytest.raises(ValueError, match="the same images"):
        paired_figures(first, second.at(np.arange(279, -1, -1)), np.arange(280))


def right(only_first, only_second, both=5):
    """Which of the images each of two predictions calls right."""
    first = np.repeat([True, False, True, False], [only_first, only_second, both, 3])
    second = np.repeat([False, True, True, False], [only_first, only_second, both, 3])
    return first, second


@pytest.mark.parametrize(("first", "second"), [(1, 0), (3, 9), (12, 12), (40, 61), (700, 620)])
def test_it_is_the_exact_binomial_test(first, second):
    found = mcnemar(*right(first, second))
    assert (found["only_first_right"], found["only_second_right"]) == (first, second)
    assert found["p_value"] == pytest.approx(binomtest(first, first + second).pvalue)


def test_images_that_both_call_right_or_wrong_change_nothing():
    assert mcnemar(*right(4, 11, both=0)) == mcnemar(*right(4, 11, both=500))


def test_no_difference_at_all_is_no_evidence():
    assert mcnemar(*right(0, 0))["p_value"] == 1


def test_thousands_of_differences_do_not_overflow():
    assert mcnemar(*right(3000, 0))["p_value"] == 0
    assert mcnemar(*right(3000, 3001))["p_value"] == pytest.approx(1, abs=0.02)
