"""Colours and holes: reproducible, in their ranges, independent of one another."""

import numpy as np

from hambatch.training.finetuning.views import colours, hole
from hambatch.training.options import Jitter

IMAGE = "0a" * 32
VIEWS = range(1, 200)


def all_colours(jitter: Jitter) -> np.ndarray:
    return np.array([colours(jitter, 0, IMAGE, view) for view in VIEWS])


def all_holes(jitter: Jitter) -> np.ndarray:
    return np.array([hole(jitter, 0, IMAGE, view, 224, 112) for view in VIEWS])


def test_a_view_is_the_same_every_time_and_differs_from_all_others() -> None:
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
