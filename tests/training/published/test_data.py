"""The balanced training part and the order of its epochs."""

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.system.files import sha256_of_bytes
from hambatch.training.published.data import balanced, epoch_plan

LABELS = np.repeat(np.arange(7), [3, 40, 10, 1, 12, 90, 10])
IMAGES = [sha256_of_bytes(bytes([k])) for k in range(len(LABELS))]


def test_every_class_has_as_many_instances():
    chosen = balanced(IMAGES, LABELS, 10, seed=0)
    np.testing.assert_array_equal(np.bincount(LABELS[chosen]), [10] * 7)


def test_large_classes_are_not_repeated_and_small_ones_evenly():
    chosen = balanced(IMAGES, LABELS, 10, seed=0)
    times = np.bincount(chosen, minlength=len(LABELS))
    assert times[LABELS == 5].max() == 1
    assert sorted(times[LABELS == 0]) == [3, 3, 4]
    assert times[LABELS == 3].tolist() == [10]


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    chosen = {IMAGES[k] for k in balanced(IMAGES, LABELS, 10, seed=0)}
    assert chosen != {IMAGES[k] for k in balanced(IMAGES, LABELS, 10, seed=1)}
    order = np.random.default_rng(0).permutation(len(IMAGES))
    shuffled = [IMAGES[k] for k in order]
    assert chosen == {shuffled[k] for k in balanced(shuffled, LABELS[order], 10, seed=0)}


def test_a_part_of_the_images_chooses_mostly_what_the_whole_chose():
    most = np.flatnonzero(np.arange(len(LABELS)) % 5 != 0)
    whole = {IMAGES[k] for k in balanced(IMAGES, LABELS, 10, seed=0)}
    part = {IMAGES[most[k]] for k in balanced([IMAGES[k] for k in most], LABELS[most], 10, 0)}
    assert {IMAGES[k] for k in most} & whole <= part


def test_a_class_without_images_is_refused_by_name():
    with pytest.raises(InputError, match="no image of class df"):
        balanced([IMAGES[k] for k in np.flatnonzero(LABELS != 3)], LABELS[LABELS != 3], 10, 0)


def test_an_epoch_is_a_pure_function_of_seed_and_number():
    order, views = epoch_plan(70, 4, seed=0, epoch=3)
    again, same_views = epoch_plan(70, 4, seed=0, epoch=3)
    np.testing.assert_array_equal(order, again)
    np.testing.assert_array_equal(views, same_views)
    assert sorted(order) == list(range(70))
    assert set(views) == {0, 1, 2, 3, 4}
    assert (order != epoch_plan(70, 4, seed=0, epoch=4)[0]).any()
    assert (order != epoch_plan(70, 4, seed=1, epoch=3)[0]).any()
