"""Figures of a threshold, against numbers that were counted by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest

from hambatch.triage.figures import exact_estimate, figures_at, net_benefit
from hambatch.triage.lesions import Lesions


@pytest.fixture
def lesions() -> Lesions:
    """Four of the target, with images of 0.5; 0.5 and 0.1; 0.2; 0.3. Two others: 0.2, 0.1; 0.0."""
    codes = np.array([0, 1, 1, 2, 3, 4, 4, 5])
    scores = np.array([0.5, 0.5, 0.1, 0.2, 0.3, 0.2, 0.1, 0.0]) * 1e6
    return Lesions(codes, scores.astype(np.int64), np.array([1, 1, 1, 1, 0, 0], bool))


def test_a_lesion_is_missed_by_any_image_and_referred_by_any(lesions: Lesions) -> None:
    found = figures_at(200_000, lesions, 0.95, not_scored=2)
    positive, benign = found.positive, found.benign
    assert (positive.lesions, positive.missed, positive.images, positive.not_scored) == (4, 1, 5, 2)
    assert (benign.lesions, benign.referred, benign.images, benign.images_referred) == (2, 1, 3, 1)
    assert positive.sensitivity.value == 0.75
    assert benign.specificity is not None
    assert benign.specificity.value == 0.5
    assert found.referred_share == 5 / 8
    # One needless referral weighs 0.2 / 0.8 of a lesion that is found.
    assert found.net_benefit.at_threshold == pytest.approx((3 - 1 * 0.25) / 6)
    assert found.net_benefit.refer_all == pytest.approx((4 - 2 * 0.25) / 6)


def test_without_other_lesions_there_is_no_specificity(lesions: Lesions) -> None:
    found = figures_at(200_000, Lesions(lesions.codes, lesions.scores, np.ones(6, bool)), 0.95)
    assert (found.benign.lesions, found.benign.specificity) == (0, None)


@pytest.mark.parametrize(("part", "whole"), [(0, 7), (7, 7), (3, 8), (539, 900)])
def test_an_interval_is_that_of_clopper_and_pearson(part: int, whole: int) -> None:
    found = exact_estimate(part, whole)
    theirs = binomtest(part, whole).proportion_ci(0.95, "exact")
    assert found.interval == pytest.approx((theirs.low, theirs.high))


def test_net_benefit_is_that_of_vickers_and_elkin() -> None:
    # Of 1,000 lesions 80 of 100 are found at 0.1, and 200 others are referred.
    assert net_benefit(80, 200, 1000, 0.1) == pytest.approx(0.08 - 0.2 / 9)
