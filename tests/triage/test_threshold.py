"""A threshold is the largest that exact tests allow, and choosing it costs no confidence."""

from fractions import Fraction
from itertools import takewhile
from math import comb

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest

from hambatch.triage.threshold import (
    GRID,
    STEP,
    certified_threshold,
    chances,
    lower_bound,
    most_missed,
    needed_lesions,
)
from tests.conftest import REPOSITORY

PROMISES = (("0.95", "0.95"), ("0.9", "0.99"), ("0.8", "0.9"), ("0.5", "0.5"))


def chance(missed: int, lesions: int, sensitivity: Fraction) -> Fraction:
    """Give the chance of at most so many misses, in fractions."""
    wrong = 1 - sensitivity
    terms = (comb(lesions, k) * wrong**k * sensitivity ** (lesions - k) for k in range(missed + 1))
    return sum(terms, Fraction(0))


def by_fractions(scores: NDArray[np.int64], sensitivity: str, confidence: str) -> int | None:
    """Test the thresholds one by one, upwards, by counting."""

    def passes(threshold: int) -> bool:
        missed = sum(score < threshold for score in scores.tolist())
        return chance(missed, len(scores), Fraction(sensitivity)) <= 1 - Fraction(confidence)

    kept = list(takewhile(passes, GRID.tolist()))
    return kept[-1] if kept else None


def test_the_numbers_of_the_promise_of_095_are_those_of_the_tables() -> None:
    assert [needed_lesions(missed, 0.95, 0.95) for missed in range(3)] == [59, 93, 124]


@pytest.mark.parametrize("promise", PROMISES)
def test_so_many_lesions_are_needed_and_one_fewer_is_too_few(promise: tuple[str, str]) -> None:
    sensitivity, confidence = map(Fraction, promise)
    for missed in range(4):
        needed = needed_lesions(missed, *map(float, promise))
        assert chance(missed, needed, sensitivity) <= 1 - confidence
        assert chance(missed, needed - 1, sensitivity) > 1 - confidence
        assert most_missed(needed, *map(float, promise)) == missed
        assert most_missed(needed - 1, *map(float, promise)) == missed - 1


@pytest.mark.parametrize("promise", PROMISES[:3])
def test_a_threshold_is_that_of_counting_in_fractions(promise: tuple[str, str]) -> None:
    rng = np.random.default_rng(3)
    seen = set()
    for size in (5, 40, 59, 93, 150, 300):
        for scores in (
            rng.integers(0, 30 * STEP, size),
            rng.choice([0, STEP, STEP + 1, 7 * STEP - 1, 9 * STEP], size),
            rng.integers(5 * STEP, 30 * STEP, size),
        ):
            found = certified_threshold(scores, *map(float, promise))
            assert found == by_fractions(scores, *promise)
            seen.add(found)
    assert {None, 0} < seen
    assert len(seen) >= 4


def test_a_lesion_at_the_threshold_is_not_missed() -> None:
    scores = np.full(59, 20 * STEP)
    assert certified_threshold(scores, 0.95, 0.95) == 20 * STEP
    scores[0] -= 1
    assert certified_threshold(scores, 0.95, 0.95) == 19 * STEP


def test_the_last_threshold_is_below_1() -> None:
    assert certified_threshold(np.full(59, 1_000_000), 0.95, 0.95) == 999_900


def test_a_threshold_passes_if_the_bound_of_clopper_and_pearson_reaches_the_sensitivity() -> None:
    for lesions in (59, 93, 124, 500):
        scores = np.arange(lesions) * STEP
        # The k-th threshold misses k lesions.
        found = chances(scores, 0.95)[: lesions // 5]
        bounds = [lower_bound(missed, lesions, 0.95) for missed in range(lesions // 5)]
        assert (found <= 1 - 0.95).tolist() == [bound >= 0.95 for bound in bounds]
        for missed in (0, 3):
            theirs = binomtest(lesions - missed, lesions, alternative="greater").proportion_ci(0.95)
            assert bounds[missed] == pytest.approx(theirs.low)


def test_mapie_certifies_the_same_threshold() -> None:
    """Its Hoeffding-Bentkus p-value of a binary risk is the exact binomial one."""
    from mapie.risk_control import BinaryClassificationController, BinaryRisk

    miss = BinaryRisk(lambda y_true, y_pred: y_pred == 0, lambda y_true, y_pred: y_true == 1, False)
    grid, rng = np.arange(0, 1, 0.01), np.random.default_rng(8)
    seen = set()
    # Of 128 and of 256, shares are exact floats, which its count of misses depends on.
    for lesions, positive in ((200, 128), (256, 256), (300, 128)):
        for a in (1.0, 3.0, 6.0):
            scores = np.rint(rng.beta(a, 1, lesions) * 1e6).astype(np.int64)
            labels = np.arange(lesions) < positive
            controller = BinaryClassificationController(
                lambda x: np.column_stack([1 - x, x]),
                miss,
                0.05,
                confidence_level=0.95,
                best_predict_param_choice=miss,
                list_predict_params=grid,
                fwer_method="fixed_sequence",
            )
            controller.calibrate(scores / 1e6, labels.astype(int))
            found = certified_threshold(scores[labels], 0.95, 0.95)
            theirs = round(controller.valid_predict_params.max() * 1e6)
            assert found is not None
            assert theirs == found // 10_000 * 10_000
            seen.add(theirs)
    assert len(seen) > 3


def test_the_promise_is_kept_in_populations_of_known_sensitivity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    from certificate_coverage import CERTIFIED, simulated

    for name in ("images of a lesion unlike each other", "five scores between the steps"):
        chosen, *others = simulated(name, 150, seed=1)
        assert chosen["rule"] == CERTIFIED
        assert chosen["passed"]
        assert chosen["most_steps_from_exact"] < 1
        # The draws can tell: rules that count images, or look at the sample alone, fail.
        assert not any(other["passed"] for other in others)
