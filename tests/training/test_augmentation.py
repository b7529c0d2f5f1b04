"""Views of images: reproducible, and the plain image is untouched."""

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.training.augmentation import check, view_matrix
from hambatch.training.options import Augmentation

IMAGE = "0a" * 32


def matrix(augmentation=Augmentation(), seed=0, sha256=IMAGE, view=1):  # noqa: B008
    return view_matrix(augmentation, seed, sha256, view, 224, 224)


def test_view_0_is_the_identity():
    np.testing.assert_array_equal(matrix(view=0), [[1, 0, 0], [0, 1, 0]])


def test_a_view_is_the_same_every_time_and_differs_from_all_others():
    np.testing.assert_array_equal(matrix(), matrix())
    others = [matrix(), matrix(seed=1), matrix(view=2), matrix(sha256="0b" * 32)]
    assert len({m.tobytes() for m in others}) == len(others)


def test_switched_off_a_view_is_the_identity():
    off = Augmentation(0.0, 0.0, 0.0, horizontal_flip=False, vertical_flip=False)
    np.testing.assert_allclose(matrix(off), [[1, 0, 0], [0, 1, 0]], atol=1e-6)


def test_numbers_stay_in_their_ranges():
    shift_only = Augmentation(0.0, 0.1, 0.0, horizontal_flip=False, vertical_flip=False)
    shifts = np.array([matrix(shift_only, view=v)[:, 2] for v in range(1, 200)])
    assert 20 < np.abs(shifts).max() <= 22.4
    zoom_only = Augmentation(0.0, 0.0, 0.1, horizontal_flip=False, vertical_flip=False)
    scales = np.array([1 / matrix(zoom_only, view=v)[0, 0] for v in range(1, 200)])
    assert 0.9 <= scales.min() < 0.91
    assert 1.09 < scales.max() <= 1.1


def test_about_half_of_the_views_are_flipped():
    flips = Augmentation(0.0, 0.0, 0.0, horizontal_flip=True, vertical_flip=False)
    flipped = sum(matrix(flips, view=v)[0, 0] < 0 for v in range(1, 401))
    assert 150 < flipped < 250


def test_the_centre_stays_where_it_is_without_shift():
    turned = matrix(Augmentation(shift=0.0))
    np.testing.assert_allclose(turned @ [112, 112, 1], [112, 112], atol=1e-3)


@pytest.mark.parametrize("wrong", [{"zoom": 1.0}, {"shift": -0.1}, {"rotation_degrees": np.nan}])
def test_ranges_that_name_no_picture_are_refused(wrong):
    with pytest.raises(InputError, match=f"--{next(iter(wrong)).replace('_', '-')} is"):
        check(Augmentation(**wrong))
