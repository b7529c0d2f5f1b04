"""Views of images: reproducible, in their ranges, and the plain image is untouched."""

import numpy as np

from hambatch.training.augmentation import colours, cropped, hole, view_matrix
from hambatch.training.view_options import Augmentation, Jitter

IMAGE = "0a" * 32
VIEWS = range(1, 200)


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


def test_a_crop_lies_anywhere_in_the_view_and_holds_its_centre() -> None:
    eye = np.eye(2, 3, dtype=np.float32)
    starts = np.array([cropped(eye, 224, 160, 0, IMAGE, view)[:, 2] for view in range(1, 400)])
    assert (starts.min(), starts.max()) == (0, 64)
    assert ((starts <= 112) & (starts + 160 >= 112)).all()
    assert cropped(eye, 224, 224, 0, IMAGE, 1) is eye


def test_a_crop_that_shows_the_whole_view_reaches_from_corner_to_corner() -> None:
    eye = np.eye(2, 3, dtype=np.float32)
    for view in range(1, 20):
        matrix = cropped(eye, 224, 128, 0, IMAGE, view, extent=1.0)
        corners = matrix @ np.array([[0, 128], [0, 128], [1, 1]])
        np.testing.assert_allclose(corners, [[0, 224], [0, 224]], rtol=1e-6)


def test_a_crop_shows_its_extent_of_the_view_and_lies_in_it() -> None:
    eye = np.eye(2, 3, dtype=np.float32)
    for view in range(1, 100):
        corners = cropped(eye, 224, 128, 0, IMAGE, view, 0.75) @ [[0, 128], [0, 128], [1, 1]]
        np.testing.assert_allclose(corners[:, 1] - corners[:, 0], 168, rtol=1e-6)
        assert corners.min() >= 0
        assert corners.max() <= 224


def all_colours(jitter: Jitter) -> np.ndarray:
    return np.array([colours(jitter, 0, IMAGE, view) for view in VIEWS])


def all_holes(jitter: Jitter) -> np.ndarray:
    return np.array([hole(jitter, 0, IMAGE, view, 224, 112) for view in VIEWS])


def test_colours_are_the_same_every_time_and_differ_from_all_others() -> None:
    jitter = Jitter()
    drawn = [colours(jitter, 0, IMAGE, 1), colours(jitter, 1, IMAGE, 1)]
    drawn += [colours(jitter, 0, IMAGE, 2), colours(jitter, 0, "0b" * 32, 1)]
    assert len({numbers.tobytes() for numbers in drawn}) == len(drawn)
    np.testing.assert_array_equal(colours(jitter, 0, IMAGE, 1), drawn[0])


def test_colours_stay_in_their_ranges_and_use_them() -> None:
    away = np.abs(all_colours(Jitter(0.1, 0.2, 0.3, 4.0)) - [1, 1, 1, 0])
    most = np.array([0.1, 0.2, 0.3, 4.0])
    assert (away <= most + 1e-6).all()
    assert (away.max(axis=0) > 0.95 * most).all()


def test_switching_one_off_leaves_the_others_as_they_were() -> None:
    with_all, without = all_colours(Jitter()), all_colours(Jitter(contrast=0.0, cutout=0.0))
    assert (without[:, 1] == 1).all()
    np.testing.assert_array_equal(with_all[:, [0, 2, 3]], without[:, [0, 2, 3]])


def test_a_hole_lies_in_the_image_and_has_at_most_its_size() -> None:
    start, size = np.split(all_holes(Jitter(cutout=0.25)), 2, axis=1)
    assert (start >= 0).all()
    assert (start + size <= [224, 112]).all()
    assert (size <= [57, 29]).all()
    assert (size.max(axis=0) >= [55, 27]).all()
    # Some lie partly outside.
    assert (size[:, 0] < 50).any()


def test_without_cutout_there_is_no_hole() -> None:
    assert (all_holes(Jitter(cutout=0.0))[:, 2:] == 0).all()
