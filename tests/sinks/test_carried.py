"""Columns of a manifest follow ours in every format, and come back."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hambatch.errors import InputError
from hambatch.sinks.columns import COLUMNS
from hambatch.sinks.formats import FORMATS, open_table, read_rows
from hambatch.sinks.publish import carried_columns, carried_in, open_outputs, record_path
from hambatch.system.files import as_json, sha256_of_file
from hambatch.system.text import encode_name
from hambatch.types import Row
from tests.sinks.made_rows import random_rows, write_rows

READABLE = ("csv", "tsv", "jsonl", "parquet", "xlsx")

NAMES = ("lesion_id", "=1+1", "Größe, mm\n", "p%41")

CELLS: tuple[tuple[str | None, ...], ...] = (
    ("L1", "=cmd|' /C calc'!A0", "tab\tand\nline", "50%"),
    (None, "-1.5", None, "%41"),
    ("NA", '"quoted", ;@x', "null", " spaces "),
)

ROWS = [replace(row, carried=CELLS[k % 3]) for k, row in enumerate(random_rows(9))]


def write(path: Path, kind: str, rows: list[Row] = ROWS) -> Path:
    with open_table(path, kind, NAMES) as write_row:
        for row in rows:
            write_row(row)
    return path


@pytest.mark.parametrize("kind", READABLE)
def test_rows_come_back_with_what_they_carry(tmp_path: Path, kind: str) -> None:
    first = write(tmp_path / "first", kind)
    assert list(read_rows(first, kind, NAMES)) == ROWS
    second = write(tmp_path / "second", kind, list(read_rows(first, kind, NAMES)))
    assert second.read_bytes() == first.read_bytes()
    assert list(read_rows(first, kind)) == [replace(row, carried=()) for row in ROWS]


@pytest.mark.parametrize("kind", READABLE)
def test_names_and_cells_are_encoded_as_images_are(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "table", kind)
    table = {
        "csv": lambda: pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""]),
        "tsv": lambda: pd.read_csv(path, dtype=str, sep="\t", keep_default_na=False, na_values=""),
        "jsonl": lambda: pd.read_json(path, lines=True, dtype=False),
        "parquet": lambda: pd.read_parquet(path),
        "xlsx": lambda: pd.read_excel(path, dtype=str, keep_default_na=False, na_values=""),
    }[kind]()
    encoded = [encode_name(name) for name in NAMES]
    assert encoded[1:] == ["%3D1+1", "Größe, mm%0A", "p%2541"]
    assert list(table.columns) == [*COLUMNS, *encoded]
    for k, name in enumerate(encoded):
        found = [None if pd.isna(value) else value for value in table[name]]
        assert found == [cell and encode_name(cell) for cell in (row.carried[k] for row in ROWS)]


def test_they_are_text_in_parquet_and_may_be_null(tmp_path: Path) -> None:
    schema = pq.read_schema(write(tmp_path / "table", "parquet"))
    for field in list(schema)[len(COLUMNS) :]:
        assert (field.type, field.nullable) == (pa.string(), True)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_table_that_carries_nothing_has_the_bytes_of_one_without_carried_columns(
    tmp_path: Path, kind: str
) -> None:
    rows = random_rows(9)
    carried = write_rows(tmp_path / "carried", kind, rows, ())
    plain = write_rows(tmp_path / "plain", kind, rows)
    assert plain.read_bytes() == carried.read_bytes()


def test_a_submission_carries_none(tmp_path: Path) -> None:
    plain = write_rows(tmp_path / "plain", "isic", random_rows(9))
    assert write(tmp_path / "carried", "isic").read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("kind", READABLE)
@pytest.mark.parametrize("names", [("status",), ("risk",), ("a", "a"), ("",)])
def test_a_column_that_would_stand_there_twice_is_never_written(
    tmp_path: Path, kind: str, names: tuple[str, ...]
) -> None:
    with (
        pytest.raises(ValueError, match="carried columns"),
        open_table(tmp_path / "p", kind, names),
    ):
        pass


@pytest.mark.parametrize("kind", READABLE)
def test_a_row_with_another_number_of_cells_is_never_written(tmp_path: Path, kind: str) -> None:
    for carried in ((), ("a",), ("a",) * 5):
        with pytest.raises(ValueError, match="zip"):
            write(tmp_path / "p", kind, [replace(ROWS[0], carried=carried)])


@pytest.mark.parametrize("kind", READABLE)
def test_a_table_without_a_column_that_its_record_names_is_refused(
    tmp_path: Path, kind: str
) -> None:
    path = write_rows(tmp_path / "table", kind, random_rows(3))
    with pytest.raises(InputError, match="wanted also the columns lesion_id"):
        list(read_rows(path, kind, ("lesion_id",)))


def publish(path: Path, kind: str) -> Path:
    with open_outputs(path, kind, None, carried=NAMES) as outputs:
        for row in ROWS:
            outputs.write(row)
        names = list(map(encode_name, NAMES))
        outputs.describe = lambda digest: {"output": {"sha256": digest, "carried": names}}
    return path


@pytest.mark.parametrize("kind", READABLE)
def test_only_the_columns_that_the_record_names_are_carried(tmp_path: Path, kind: str) -> None:
    path = publish(tmp_path / "table", kind)
    assert carried_columns(path, kind) == NAMES
    assert json.loads(record_path(path).read_text())["output"]["sha256"] == sha256_of_file(path)
    assert list(read_rows(path, kind, carried_columns(path, kind))) == ROWS
    record_path(path).unlink()
    assert carried_columns(path, kind) == ()


@pytest.mark.parametrize(
    ("record", "names"),
    [({}, ()), ({"output": {"file": "p.csv"}}, ()), ({"output": {"carried": ["%3Da"]}}, ("=a",))],
)
def test_a_record_of_an_earlier_version_names_none(
    record: dict[str, object], names: tuple[str, ...]
) -> None:
    assert carried_in(record) == names


@pytest.mark.parametrize("wrong", ["x", [1], ["=a"], ["image"], ["a", "a"], {"a": 1}])
def test_a_record_that_no_run_writes_is_refused(tmp_path: Path, wrong: object) -> None:
    path = tmp_path / "p.csv"
    record_path(path).write_text(as_json({"output": {"carried": wrong}}))
    with pytest.raises(InputError, match=r"cannot be used as the record.*\nNext: "):
        carried_columns(path)
