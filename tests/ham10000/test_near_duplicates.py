"""Pictures that look the same: refused on two sides, kept in one group."""

import pandas as pd
import pytest

from hambatch.errors import InputError
from hambatch.ham10000.near_duplicates import (
    compare_images,
    joined_groups,
    refuse_near_duplicates,
)
from hambatch.system.files import sha256_of_bytes
from tests.ham10000.images import COPIES, encoded, picture


@pytest.fixture
def table(tmp_path):
    """Rows a to d: b and d are copies of a, c is another picture; each of its own lesion."""
    change = list(COPIES.values())
    contents = [encoded(picture(0)), change[0](picture(0)), encoded(picture(1))]
    rows = []
    for name, content in zip("abcd", [*contents, change[2](picture(0))], strict=True):
        (tmp_path / f"{name}.jpg").write_bytes(content)
        row = {"image_id": name, "group": f"L{name}", "dx": "nv", "file": f"{name}.jpg"}
        rows.append(row | {"sha256": sha256_of_bytes(content), "split": "train"})
    return pd.DataFrame(rows)


def sides(table, **chosen):
    return table.assign(split=[chosen.get(name, "train") for name in table["image_id"]])


def test_copies_on_two_sides_are_refused_by_name(table, tmp_path):
    with pytest.raises(InputError) as refused:
        refuse_near_duplicates(sides(table, b="test", d="val"), tmp_path, "my.csv")
    message = str(refused.value)
    assert "my.csv leaks: found 3 pairs of nearly the same image in two splits" in message
    assert "a in train and b in test; a in train and d in val; b in test and d in val" in message
    assert "\nNext: hambatch prepare" in message


def test_copies_on_one_side_pass_and_what_cannot_be_seen_is_counted(table, tmp_path):
    altered = table.assign(sha256=table["sha256"].mask(table["image_id"] == "c", "f" * 64))
    assert refuse_near_duplicates(sides(altered, c="test"), tmp_path, "my.csv") == 1


def test_copies_are_joined_even_through_a_third(table, tmp_path):
    pairs, unseen = compare_images(table, tmp_path, "group")
    assert unseen == []
    assert joined_groups(table, pairs[[0, 2]], "my.csv") == ["La", "La", "Lc", "La"]
    assert joined_groups(table, pairs[:0], "my.csv") == ["La", "Lb", "Lc", "Ld"]


def test_copies_with_two_labels_are_refused_by_name(table, tmp_path):
    pairs, _ = compare_images(table, tmp_path, "group")
    wrong = table.assign(dx=["nv", "mel", "nv", "nv"])
    with pytest.raises(InputError, match="a is nv and b is mel; b is mel and d is nv; wanted one"):
        joined_groups(wrong, pairs, "my.csv")
