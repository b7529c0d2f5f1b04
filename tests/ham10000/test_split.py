from collections import Counter

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.ham10000.split import assign_folds, assign_splits, group_lesions

# 400 images of 200 lesions: 140 nv, 50 mel, 10 df, some with up to four images.
RNG = np.random.default_rng(1)
LESIONS = np.concatenate([np.arange(200), RNG.integers(0, 200, 200)])
CLASS_OF = np.array(["nv"] * 140 + ["mel"] * 50 + ["df"] * 10)
DX = list(CLASS_OF[LESIONS])
GROUPS = [f"HAM_{lesion:07d}" for lesion in LESIONS]


def split(groups=GROUPS, dx=DX, seed=0, val=0.15, test=0.15):
    return assign_splits(groups, dx, val_fraction=val, test_fraction=test, seed=seed)


def test_no_lesion_is_on_both_sides():
    sides = set(zip(GROUPS, split(), strict=True))
    assert len(sides) == len(set(GROUPS))


def test_every_class_is_shared_out_by_the_fractions():
    sides = dict(zip(GROUPS, split(val=0.2, test=0.1), strict=True))
    for dx, lesions in Counter(CLASS_OF).items():
        members = {group for group, name in zip(GROUPS, DX, strict=True) if name == dx}
        count = Counter(sides[group] for group in members)
        assert count == {"train": 0.7 * lesions, "val": 0.2 * lesions, "test": 0.1 * lesions}


def test_the_order_of_the_rows_does_not_matter():
    order = np.random.default_rng(2).permutation(len(GROUPS))
    shuffled = split([GROUPS[i] for i in order], [DX[i] for i in order])
    assert (shuffled == split()[order]).all()


def test_the_seed_decides():
    assert (split(seed=3) == split(seed=3)).all()
    assert (split(seed=3) != split(seed=4)).any()


def test_three_lesions_of_a_class_are_enough_for_all_sides():
    assert set(split(["a", "b", "c"], ["df"] * 3)) == {"train", "val", "test"}


def test_a_single_lesion_of_a_class_is_trained_on():
    assert list(split(["a", "a"], ["df"] * 2)) == ["train", "train"]


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (0.9, 0.2), (0, 0.2)])
def test_fractions_that_empty_a_side_are_refused(val, test):
    with pytest.raises(InputError, match=f"val fraction {val}"):
        split(val=val, test=test)


def test_folds_hold_every_class_and_keep_lesions_together():
    folds = assign_folds(GROUPS, DX, 5, seed=0)
    assert len(set(zip(GROUPS, folds, strict=True))) == len(set(GROUPS))
    by_class = Counter({(g, d, f) for g, d, f in zip(GROUPS, DX, folds, strict=True)})
    lesions = Counter((d, f) for _, d, f in by_class)
    assert {lesions["df", fold] for fold in range(5)} == {2}
    assert {lesions["mel", fold] for fold in range(5)} == {10}


def test_a_lesion_of_two_classes_cannot_be_stratified():
    with pytest.raises(ValueError, match="lesion a has dx mel and nv"):
        assign_folds(["a", "a"], ["mel", "nv"], 2, seed=0)


def test_lesions_that_share_bytes_are_one_group_even_through_a_third():
    lesions = ["d", "c", "b", "b", "a", "e"]
    sha256 = ["1", "1", "1", "2", "2", "3"]
    assert group_lesions(lesions, sha256) == ["a", "a", "a", "a", "a", "e"]
