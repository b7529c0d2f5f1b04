"""Features outside the directions of the training images are told from those inside."""

import numpy as np
import pytest

from hambatch.engines.feature_statistics import Directions, statistics_of
from hambatch.engines.manifest import FEATURES
from hambatch.risk.out_of_distribution import Subspace

RNG = np.random.default_rng(1)
BASIS = np.linalg.qr(RNG.normal(size=(FEATURES, 6)))[0]
CENTRE = BASIS @ RNG.normal(5, 1, 6)


def inside(count: int) -> np.ndarray:
    return (CENTRE + RNG.normal(0, 1, (count, 6)) @ BASIS.T).astype(np.float32)


@pytest.fixture(scope="module")
def directions() -> Directions:
    labels = np.arange(140) % 7
    found = statistics_of(inside(140), labels, np.zeros(140, np.int64))
    return Directions(found.class_means, found.axes)


@pytest.fixture(scope="module")
def subspace(directions: Directions) -> Subspace:
    return Subspace(directions)


def test_the_share_is_that_of_the_squared_length(
    subspace: Subspace, directions: Directions
) -> None:
    # Orthogonal to the images and to the axes: of so few images, most axes are noise.
    taken = np.linalg.qr(np.hstack([BASIS, directions.axes.astype(float).T]))[0]
    outside = RNG.normal(size=FEATURES)
    outside -= taken @ (taken.T @ outside)
    outside /= np.linalg.norm(outside)
    for share in (0.1, 0.5, 0.9):
        length = np.linalg.norm(CENTRE)
        mixed = CENTRE + outside * length * (share / (1 - share)) ** 0.5
        assert subspace.share_outside(mixed.astype(np.float32)) == pytest.approx(share, abs=0.01)


def test_what_varies_like_the_training_images_is_hardly_outside(subspace: Subspace) -> None:
    assert max(map(subspace.share_outside, inside(20))) < 0.01


def test_features_of_no_length_are_wholly_outside(subspace: Subspace) -> None:
    assert subspace.share_outside(np.zeros(FEATURES, np.float32)) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_wholly_outside(subspace: Subspace, value: float) -> None:
    features = inside(1)[0]
    features[7] = value
    assert subspace.share_outside(features) == 1
