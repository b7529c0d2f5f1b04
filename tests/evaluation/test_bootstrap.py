import numpy as np
import pytest

from hambatch.evaluation.bootstrap import bootstrap_intervals


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
