"""Mixup blends images and labels by the same shares, drawn from seed and step alone."""

import numpy as np
import pytest

from hambatch.training.finetuning.tuner import mixed

LABELS = np.arange(32) % 7
# An image of one value is told by its value: two of 32 blend to one number.
IMAGES = np.broadcast_to((10.0 ** (LABELS % 7))[:, None, None, None], (32, 4, 4, 3))
IMAGES = np.ascontiguousarray(IMAGES, np.float32)


def test_without_it_images_stay_and_labels_are_hard() -> None:
    found = mixed(IMAGES, LABELS, 0.0, seed=1, number=1)
    assert found.images is IMAGES
    np.testing.assert_array_equal(found.targets, np.eye(7)[LABELS])


@pytest.mark.parametrize("mixup", [0.1, 0.4, 1.0])
def test_labels_are_blended_as_their_images_are(mixup) -> None:
    found = mixed(IMAGES, LABELS, mixup, seed=1, number=5)
    np.testing.assert_allclose(found.targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        found.images,
        np.broadcast_to((found.targets @ 10.0 ** np.arange(7))[:, None, None, None], IMAGES.shape),
        rtol=1e-4,
    )
    assert (found.targets.argmax(axis=1) == LABELS).all()
    assert (found.targets.max(axis=1) < 1).any()


def test_it_depends_on_seed_and_step_alone() -> None:
    one, again = (mixed(IMAGES, LABELS, 0.4, seed=1, number=5) for _ in range(2))
    np.testing.assert_array_equal(one.images, again.images)
    for seed, number in ((2, 5), (1, 6)):
        other = mixed(IMAGES, LABELS, 0.4, seed, number)
        assert (other.targets != one.targets).any()
