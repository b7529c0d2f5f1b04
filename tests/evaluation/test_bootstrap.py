import numpy as np
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.measures import evaluate


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
    for name in draws[0].keys() - {"n", "classes", "confusion_matrix"}:
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
