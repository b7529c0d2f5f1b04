"""Intervals of calibration errors hold the error, and the true one about as often as they say."""

import numpy as np
import pytest

from hambatch.evaluation.bootstrap import bootstrap_intervals, paired_figures, with_calibration
from hambatch.evaluation.calibration import calibration_measure
from hambatch.evaluation.calibration_interval import Deviations, calibration_interval, deviations
from hambatch.evaluation.measures import evaluate, isic_figures
from hambatch.evaluation.sample import Sample


def random_sample(seed: int) -> tuple[Sample, np.ndarray]:
    """1 to 40 images, some classes rare or absent, probabilities of few decimals, ties."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 41))
    truth = rng.choice(7, n, p=rng.dirichlet(np.full(7, 0.3)))
    logits = rng.normal(size=(n, 7)) + rng.choice([0, 1, 4]) * np.eye(7)[truth]
    p = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).round(rng.choice([1, 6]))
    return Sample(truth, p.argmax(axis=1), p), rng.integers(0, max(1, n // 2), n)


def outside(figures: dict, intervals: dict, place: str = "") -> list[str]:
    found = []
    for name, below in intervals.items():
        value = figures.get(name)
        if isinstance(below, dict) and isinstance(value, dict):
            found += outside(value, below, f"{place}{name}.")
        elif isinstance(below, list) and value is not None:
            if not below[0] - 1e-9 <= value <= below[1] + 1e-9:
                found.append(f"{place}{name}")
    return found


@pytest.mark.parametrize("seed", range(40))
def test_no_interval_lies_beside_its_figure(seed: int) -> None:
    sample, lesions = random_sample(seed)
    arrays = sample.truth, sample.predicted
    spans = bootstrap_intervals(*arrays, lesions, probabilities=sample.probabilities, resamples=100)
    figures = evaluate(*arrays, sample.probabilities) | {"isic_2018_task3": isic_figures(sample)}
    assert outside(figures, spans) == []
    assert spans["ece"] is not None
    other = Sample(sample.truth, sample.predicted, np.roll(sample.probabilities, 1, axis=0))
    compared = paired_figures(sample, other, lesions, resamples=100)["figures"]
    for figure in ("accuracy", "macro_f1", "roc_auc_malignant", "ece", "ece_equal_mass", "brier"):
        found = compared[figure]
        assert outside({"x": found["difference"]}, {"x": found["interval"]}) == []


def test_where_there_is_no_interval_the_reason_is_given() -> None:
    sample = Sample(np.arange(7), (np.arange(7) + 1) % 7, np.roll(np.eye(7), 1, axis=1))
    found = bootstrap_intervals(sample.truth, sample.predicted, probabilities=sample.probabilities)
    macro = "isic_2018_task3.macro_average.sensitivity"
    assert found["isic_2018_task3"]["macro_average"]["sensitivity"] is None
    assert found["no_interval"][macro].startswith("it is not within that of the draws, 0.")


def test_a_clear_gap_keeps_its_sign_and_another_counts_by_its_absolute_value() -> None:
    gaps = np.array([0.1, 0.0, -0.1])
    draws = gaps + 0.01 * np.array([[1, 1, 1], [-1, -1, -1], [1, -1, -1], [-1, 1, 1]])
    found = deviations(gaps, draws, groups=10)
    assert found.signed == pytest.approx([0.0, 0.0, 0.02, -0.02])
    assert found.directional == pytest.approx([0.01, 0.01, 0.03, -0.01])


def test_equal_predictions_differ_by_nothing() -> None:
    sample, lesions = random_sample(3)
    found = paired_figures(sample, sample, lesions, resamples=100)["figures"]["ece"]
    assert (found["difference"], found["interval"]) == (0.0, [0.0, 0.0])


def test_it_stays_within_what_the_figure_can_be() -> None:
    wide = Deviations(np.linspace(-3, 3, 50), np.linspace(-3, 3, 50))
    assert calibration_interval(0.2, wide) == (0.0, 1.0)
    assert calibration_interval(0.2, wide, lowest=-1.0) == (-1.0, 1.0)


@pytest.mark.parametrize(("too_sure", "true_error"), [(0.0, 0.0), (0.15, 0.15)])
def test_the_true_error_is_inside(too_sure: float, true_error: float) -> None:
    # More truths, sizes and rules: benchmarks/results/calibration_intervals.json
    rng, held = np.random.default_rng(1), 0
    for _ in range(25):
        confidence = rng.uniform(0.3, 1.0, 300)
        right = rng.random(300) < confidence - too_sure
        p = np.repeat((1 - confidence)[:, None] / 6, 7, axis=1)
        p[:, 5] = confidence
        sample = Sample(np.where(right, 5, 4), np.full(300, 5), p)
        _, spans = with_calibration(
            calibration_measure(sample), sample, np.arange(300), resamples=200
        )
        low, high = spans.found["ece",]
        held += low <= true_error <= high
    assert held >= 22
