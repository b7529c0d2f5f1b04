"""Intervals of a paired difference: what is shared cancels, and lesions are drawn whole."""

import numpy as np
import pytest

from hambatch.evaluation.sample import MELANOMA
from hambatch.training.gate import paired_intervals

RNG = np.random.default_rng(3)


def test_equal_predictions_differ_by_nothing() -> None:
    truth, predicted = RNG.integers(0, 7, (2, 300))
    found = paired_intervals(truth, predicted, predicted, np.arange(300))
    assert found == ((0, 0), (0, 0))


def test_it_holds_the_difference_and_is_narrower_than_an_unpaired_one() -> None:
    truth = np.arange(700) % 7
    first = np.where(RNG.random(700) < 0.6, truth, (truth + 1) % 7)
    second = first.copy()
    second[:70] = (truth[:70] + 2) % 7
    wanted = 100 * np.mean(
        [
            (second == truth)[truth == k].mean() - (first == truth)[truth == k].mean()
            for k in range(7)
        ]
    )
    low, high = paired_intervals(truth, first, second, np.arange(700)).balanced_accuracy
    assert low < wanted < high
    # Two independent samples of 700 would give about 10 points.
    assert high - low < 6


def test_photographs_of_one_lesion_count_once() -> None:
    truth = np.full(200, MELANOMA)
    first = truth.copy()
    second = np.where(np.arange(200) < 20, 0, truth)
    alone = paired_intervals(truth, first, second, np.arange(200)).melanoma_sensitivity
    together = paired_intervals(truth, first, second, np.arange(200) // 10).melanoma_sensitivity
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_images_does_not_matter(seed: int) -> None:
    truth, first, second = RNG.integers(0, 7, (3, 200))
    groups = RNG.integers(0, 90, 200)
    order = np.random.default_rng(seed).permutation(200)
    shuffled = paired_intervals(truth[order], first[order], second[order], groups[order])
    assert shuffled == paired_intervals(truth, first, second, groups)
