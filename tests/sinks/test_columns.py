"""A value that no run writes is refused, with its row, column and image."""

import json
from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.sinks.columns import Value
from hambatch.sinks.formats import read_rows
from tests.sinks.made_rows import random_rows, write_rows

ROWS = random_rows(9)
OK, FAILED = 3, 2
"""Positions of a scored and of a failed row."""


@pytest.mark.parametrize(
    ("index", "column", "value", "wanted"),
    [
        (OK, "status", "done", "one of ok failed"),
        (OK, "status", None, "one of ok failed"),
        (OK, "image", None, "a name in every row"),
        (OK, "prediction", "scc", "one of akiec bcc"),
        (OK, "prediction", None, "one of akiec bcc"),
        (OK, "p_nv", "high", "a probability, 0 to 1"),
        (OK, "p_nv", None, "a probability, 0 to 1"),
        (OK, "p_nv", True, "a probability, 0 to 1"),
        (OK, "p_nv", [0.5], "a probability, 0 to 1"),
        (OK, "p_nv", 1.5, "a probability, 0 to 1"),
        (OK, "p_nv", -0.5, "a probability, 0 to 1"),
        (OK, "p_nv", float("nan"), "a probability, 0 to 1"),
        (OK, "p_nv", 0.12345678, "6 decimals"),
        (OK, "p_malignant", 2, "a probability, 0 to 1"),
        (OK, "confidence", 0.5, "the highest probability"),
        (OK, "sha256", "abc", "64 hexadecimal digits"),
        (OK, "reason", 7, "text"),
        (FAILED, "prediction", "nv", "nothing there, as status is 'failed'"),
        (FAILED, "p_nv", 0.5, "nothing there, as status is 'failed'"),
    ],
)
def test_a_wrong_value_is_refused_by_row_and_column(
    tmp_path: Path, index: int, column: str, value: Value, wanted: str
) -> None:
    path = _with_value(tmp_path, index, column, value)
    with pytest.raises(InputError) as refused:
        list(read_rows(path, "jsonl"))
    shown = "nothing" if value is None else repr(value)
    for words in (str(path), f"{column} {shown} in row {index + 1}", wanted, "Next: "):
        assert words in str(refused.value)


def test_another_class_than_the_most_probable_is_refused(tmp_path: Path) -> None:
    other = next(name for name in ("nv", "mel") if name != ROWS[OK].prediction)
    path = _with_value(tmp_path, OK, "prediction", other)
    with pytest.raises(InputError, match="wanted the class of the highest probability"):
        list(read_rows(path, "jsonl"))


def test_probabilities_that_do_not_sum_to_one_are_refused(tmp_path: Path) -> None:
    lowest = min(range(7), key=ROWS[OK].probabilities.__getitem__)
    column = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")[lowest]
    value = round(ROWS[OK].probabilities[lowest] + 0.001, 6)
    path = _with_value(tmp_path, OK, f"p_{column}", value)
    with pytest.raises(InputError, match=r"sum to 1, not to 1\.001"):
        list(read_rows(path, "jsonl"))


def test_the_rows_before_a_damaged_one_are_given(tmp_path: Path) -> None:
    rows = read_rows(_with_value(tmp_path, OK, "status", "done"), "jsonl")
    assert [next(rows) for _ in range(OK)] == ROWS[:OK]


def test_columns_that_somebody_added_do_no_harm(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.jsonl", "jsonl", ROWS)
    lines = [{"seen": "yes", **json.loads(line)} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(read_rows(path, "jsonl")) == ROWS


def _with_value(folder: Path, index: int, column: str, value: Value) -> Path:
    path = write_rows(folder / "p.jsonl", "jsonl", ROWS)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[index][column] = value
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
