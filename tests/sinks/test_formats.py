"""What every format promises: the same rows back, the same bytes again, no silent loss."""

import gc
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from hambatch.cli.score import score
from hambatch.cli.verify import verify
from hambatch.errors import InputError
from hambatch.sinks import parquet_table
from hambatch.sinks.columns import COLUMNS, NUMBERS, MalformedTable
from hambatch.sinks.formats import (
    FORMATS,
    SUFFIXES,
    format_of,
    format_to_write,
    read_rows,
    read_rows_leniently,
)
from hambatch.system import parquet
from hambatch.types import Row
from tests.sinks.made_rows import opened, random_rows, write_rows

ROWS = random_rows(40)

READABLE = ("csv", "tsv", "jsonl", "parquet", "xlsx", "dicom-sr")

READERS = {
    "csv": lambda path: pd.read_csv(path, keep_default_na=False, na_values=[""]),
    "tsv": lambda path: pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""]),
    "jsonl": lambda path: pd.read_json(path, lines=True, dtype=False, precise_float=True),
    "parquet": pd.read_parquet,
    "xlsx": lambda path: pd.read_excel(path, keep_default_na=False, na_values=[""]),
}


@pytest.mark.parametrize(
    ("name", "kind", "chosen"),
    [
        ("p.csv", "auto", "csv"),
        ("p.parquet", "auto", "parquet"),
        ("p.PQ", "auto", "parquet"),
        ("p.tsv", "auto", "tsv"),
        ("p.TAB", "auto", "tsv"),
        ("p.jsonl", "auto", "jsonl"),
        ("p.ndjson", "auto", "jsonl"),
        ("p.XLSX", "auto", "xlsx"),
        ("p", "auto", "csv"),
        ("p.parquet", "csv", "csv"),
        ("p.csv", "isic", "isic"),
        ("p.zip", "auto", "dicom-sr"),
    ],
)
def test_the_suffix_chooses_unless_a_format_is_named(name: str, kind: str, chosen: str) -> None:
    assert format_of(Path(name), kind) == chosen


@pytest.mark.parametrize(
    ("name", "kind"), [("p", "csv"), ("p.txt", "csv"), ("p.dat", "jsonl"), ("p.CSV", "isic")]
)
def test_a_named_format_goes_with_its_suffix_with_none_and_with_one_of_no_format(
    name: str, kind: str
) -> None:
    assert format_to_write(Path(name), kind) == kind


def test_every_suffix_of_a_format_can_be_written_and_read_back_by_its_name() -> None:
    for suffix, kind in SUFFIXES.items():
        assert format_to_write(Path(f"p{suffix}")) == format_of(Path(f"p{suffix}")) == kind


def test_the_command_line_offers_every_format() -> None:
    for command in (score, verify):
        (option,) = (o for o in command.params if "--format" in o.opts)
        assert set(option.type.choices) == {"auto", *FORMATS}


@pytest.mark.parametrize("kind", READABLE)
def test_rows_come_back_equal_and_are_written_again_to_the_same_bytes(
    tmp_path: Path, kind: str
) -> None:
    first = write_rows(tmp_path / "first", kind, ROWS)
    assert list(read_rows(first, kind)) == ROWS
    second = write_rows(tmp_path / "second", kind, read_rows(first, kind))
    assert second.read_bytes() == first.read_bytes()


@pytest.mark.parametrize("kind", READABLE)
def test_a_table_of_no_rows_comes_back_too(tmp_path: Path, kind: str) -> None:
    assert list(read_rows(write_rows(tmp_path / "none", kind, []), kind)) == []


@pytest.mark.parametrize("kind", READERS)
def test_pandas_sees_the_same_table_in_every_format(tmp_path: Path, kind: str) -> None:
    table = READERS[kind](write_rows(tmp_path / "table", kind, ROWS))
    assert tuple(table.columns) == COLUMNS
    reference = READERS["csv"](write_rows(tmp_path / "reference", "csv", ROWS))
    for column in COLUMNS:
        empty = reference[column].isna()
        assert (table[column].isna() == empty).all(), column
        assert list(table[column][~empty]) == list(reference[column][~empty]), column


@pytest.mark.parametrize("kind", READERS)
def test_failed_rows_have_no_prediction_and_no_numbers(tmp_path: Path, kind: str) -> None:
    table = READERS[kind](write_rows(tmp_path / "table", kind, ROWS))
    for column in ("prediction", *NUMBERS):
        assert (table[column].isna() == (table["status"] == "failed")).all()


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "isic"])
def test_text_formats_have_one_line_a_row_and_six_decimals(tmp_path: Path, kind: str) -> None:
    text = write_rows(tmp_path / "table", kind, ROWS).read_text(encoding="utf-8")
    assert len(text.splitlines()) == len(ROWS) + (kind != "jsonl")
    assert text.endswith("\n")
    for number in ("1.000000", "0.000000", "0.000001", "0.999999"):
        assert number in text
    assert "e-06" not in text


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_is_noticed_at_the_latest_as_the_table_is_closed(
    tmp_path: Path, kind: str
) -> None:
    with pytest.raises(OSError, match="No space left") as refused:
        write_rows(_full(tmp_path), kind, ROWS)
    assert refused.value.strerror == "No space left on device"


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_does_not_hide_what_went_wrong_before(tmp_path: Path, kind: str) -> None:
    def interrupted() -> Iterator[Row]:
        yield ROWS[0]
        raise LookupError("the first error")

    with pytest.raises(LookupError, match="the first error"):
        write_rows(_full(tmp_path), kind, interrupted())
    gc.collect()  # a writer that still wrote something now would warn


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    for kind in FORMATS:
        with pytest.raises(OSError, match="No such file"), opened(tmp_path / "no" / "p", kind):
            pass


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1.1, -0.1])
def test_what_is_no_probability_is_never_written(tmp_path: Path, kind: str, wrong: float) -> None:
    row = replace(ROWS[0], probabilities=(wrong, *ROWS[0].probabilities[1:]))
    with pytest.raises(ValueError, match="wanted 0 to 1"):
        write_rows(tmp_path / "table", kind, [row])


def test_zero_has_no_sign(tmp_path: Path) -> None:
    row = replace(ROWS[0], probabilities=(1.0, -0.0, *[0.0] * 5))
    assert "-0" not in write_rows(tmp_path / "table", "csv", [row]).read_text()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "xlsx"])
def test_memory_does_not_grow_with_the_table(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (parquet_table, parquet):
        monkeypatch.setattr(module, "ROWS_A_GROUP", 200)
    rows = random_rows(3_000)
    list(read_rows(write_rows(tmp_path / "warm", kind, rows[:9]), kind))
    tracemalloc.start()
    path = write_rows(tmp_path / "table", kind, rows)
    assert sum(1 for _ in read_rows(path, kind)) == len(rows)
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert peak_mb < 1, "three thousand rows at once take 2 MB"


@pytest.mark.parametrize("kind", READABLE)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x9f" * 9)
    for name in ("absent", "picture", "."):
        path = tmp_path / name
        with pytest.raises(InputError) as refused:
            list(read_rows(path, kind))
        for words in (str(path), "found no ", "wanted", "Next: "):
            assert words in str(refused.value)


@pytest.mark.parametrize("kind", READABLE)
def test_a_table_that_was_cut_off_is_refused(tmp_path: Path, kind: str) -> None:
    path = write_rows(tmp_path / "table", kind, ROWS)
    os.truncate(path, path.stat().st_size - 150)
    with pytest.raises(InputError, match="found"):
        list(read_rows(path, kind))


def test_a_submission_holds_no_rows_to_read(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "table", "isic", ROWS)
    for kind in ("isic", "csv"):
        with pytest.raises(InputError, match=r"an ISIC submission.*neither verified nor retried"):
            list(read_rows(path, kind))


@pytest.mark.parametrize("kind", READABLE)
def test_a_whole_table_holds_nothing_malformed(tmp_path: Path, kind: str) -> None:
    path = write_rows(tmp_path / "table", kind, ROWS)
    assert [row for _, row in read_rows_leniently(path, kind, "")] == ROWS


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("csv", b"x.jpg,ok"),
        ("csv", b'"a"b,ok'),
        ("tsv", b'"a"b\tok'),
        ("csv", b"x.jpg,failed" + b"," * 14 + b"\xff"),
        ("jsonl", b"{"),
        ("jsonl", b"[]"),
        ("jsonl", b'{"image": "\xff"}'),
    ],
)
@pytest.mark.parametrize("place", [0, 7, -1])
def test_one_malformed_row_hides_no_other(
    tmp_path: Path, kind: str, line: bytes, place: int
) -> None:
    path = write_rows(tmp_path / "table", kind, ROWS)
    lines = path.read_bytes().splitlines()
    rows = slice(kind != "jsonl", None)
    changed = lines[rows]
    changed[place] = line
    path.write_bytes(b"\n".join([*lines[: rows.start], *changed]))
    found = list(read_rows_leniently(path, kind, ""))
    assert isinstance(found.pop(place), MalformedTable)
    assert [row for _, row in found] == [row for row in ROWS if row is not ROWS[place]]


def _full(place: Path) -> Path:
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("needs /dev/full")
    (place / "full").symlink_to(device)
    return place / "full"
