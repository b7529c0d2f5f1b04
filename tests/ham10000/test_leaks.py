"""Nothing that is seen in training is held out; known pairs go to one side."""

import itertools

import numpy as np
import pandas as pd
import pytest

from hambatch.errors import InputError
from hambatch.ham10000.leaks import KNOWN_PAIRS, check_leaks, known_pairs_in, on_one_side


def table(*rows):
    return pd.DataFrame(rows, columns=["image_id", "lesion_id", "sha256", "split"])


def test_a_lesion_on_two_sides_is_refused_by_name():
    leaky = table(("ISIC_1", "HAM_1", "a", "train"), ("ISIC_2", "HAM_1", "b", "val"))
    with pytest.raises(InputError, match=r"my\.csv leaks: .*HAM_1 \(ISIC_1 in train, ISIC_2 in"):
        check_leaks(leaky, "my.csv")


def test_identical_bytes_on_two_sides_are_refused_by_name():
    leaky = table(("ISIC_1", "HAM_1", "a", "train"), ("ISIC_2", "HAM_2", "a", "test"))
    with pytest.raises(InputError, match=r"byte-identical.*HAM_1 = HAM_2.*ISIC_1.*ISIC_2"):
        check_leaks(leaky)


def test_a_known_pair_on_two_sides_is_refused_by_name_under_whatever_lesion_ids():
    one, other = KNOWN_PAIRS[5]
    leaky = table((one, "HAM_1", "a", "train"), (other, "HAM_2", "b", "test"))
    with pytest.raises(
        InputError, match=rf"1 known pairs.*HAM_1 = HAM_2 \({one} in train, {other}"
    ):
        check_leaks(leaky)
    check_leaks(leaky.assign(split="test"))


def test_many_leaks_are_counted():
    leaky = table(*[(f"{s}{i}", i, f"{s}{i}", s) for i in "12345" for s in ("train", "val")])
    with pytest.raises(InputError, match="5 lesions"):
        check_leaks(leaky)


def test_what_stays_together_passes():
    check_leaks(
        table(
            ("ISIC_1", "HAM_1", "a", "train"),
            ("ISIC_2", "HAM_1", "a", "train"),
            ("ISIC_3", "HAM_2", "b", "test"),
        )
    )


ONE, OTHER = KNOWN_PAIRS[5]


def pair_table(one: str, other: str) -> pd.DataFrame:
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
        assert list(on_one_side(pair_table(*pair))) == [side, "val", side, side, "test"]


def test_half_a_pair_moves_nothing() -> None:
    half = pair_table("val", "test").iloc[1:].reset_index(drop=True)
    assert np.array_equal(on_one_side(half), half["split"])
    assert known_pairs_in(half).shape == (0, 2)
