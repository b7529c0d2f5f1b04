"""Pairs of one lesion under two ids: on one side, whatever was drawn."""

import itertools

import numpy as np
import pandas as pd
import pytest

from hambatch.ham10000.leaks import KNOWN_PAIRS, known_pairs_in, on_one_side

ONE, OTHER = KNOWN_PAIRS[5]


def table(one: str, other: str) -> pd.DataFrame:
    """The pair, a second photograph of the other's lesion, and two strangers."""
    names = [ONE, "ISIC_1", OTHER, "ISIC_2", "ISIC_3"]
    sides = [one, "val", other, other, "test"]
    return pd.DataFrame({"image_id": names, "group": [*"abccd"], "split": sides})


def test_no_image_is_in_two_pairs() -> None:
    assert len(set(itertools.chain(*KNOWN_PAIRS))) == 2 * len(KNOWN_PAIRS) == 36


@pytest.mark.parametrize(
    ("one", "other", "side"),
    [("train", "val", "train"), ("val", "test", "test"), ("test", "train", "train")],
)
def test_both_lesions_go_to_one_side_and_nothing_else_moves(
    one: str, other: str, side: str
) -> None:
    for pair in ((one, other), (other, one)):
        assert list(on_one_side(table(*pair))) == [side, "val", side, side, "test"]


def test_half_a_pair_moves_nothing() -> None:
    half = table("val", "test").iloc[1:].reset_index(drop=True)
    assert np.array_equal(on_one_side(half), half["split"])
    assert known_pairs_in(half).shape == (0, 2)
