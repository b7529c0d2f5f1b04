"""Parquet: plain types, bounded row groups, nothing that only pandas understands."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hambatch.errors import InputError
from hambatch.sinks import parquet_table
from hambatch.sinks.columns import COLUMNS, NUMBERS
from hambatch.sinks.formats import read_rows
from tests.sinks.made_rows import random_rows, write_rows

ROWS = random_rows(25)


def test_the_schema_is_text_and_float64_without_metadata(tmp_path: Path) -> None:
    schema = pq.read_schema(write_rows(tmp_path / "p.parquet", "parquet", ROWS))
    assert tuple(schema.names) == COLUMNS
    assert schema.metadata is None
    for field in schema:
        assert field.type == (pa.float64() if field.name in NUMBERS else pa.string())
        assert field.nullable == (field.name not in ("image", "status"))


def test_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "ROWS_A_GROUP", 10)
    path = write_rows(tmp_path / "p.parquet", "parquet", ROWS)
    found = pq.read_metadata(path)
    assert [found.row_group(k).num_rows for k in range(found.num_row_groups)] == [10, 10, 5]
    assert list(read_rows(path, "parquet")) == ROWS


def test_numbers_are_the_nearest_to_their_six_decimals(tmp_path: Path) -> None:
    table = pq.read_table(write_rows(tmp_path / "p.parquet", "parquet", ROWS))
    for column in NUMBERS:
        for value in table[column].to_pylist():
            assert value is None or float(f"{value:.6f}") == value


def test_a_missing_column_and_another_type_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.parquet", "parquet", ROWS)
    table = pq.read_table(path)
    pq.write_table(table.drop(["p_nv"]), path)
    with pytest.raises(InputError, match="wanted also the columns p_nv"):
        list(read_rows(path, "parquet"))
    pq.write_table(table.set_column(5, "p_bcc", table["p_bcc"].cast(pa.float32())), path)
    with pytest.raises(InputError, match=r"p_bcc .* in row .* of 6 decimals"):
        list(read_rows(path, "parquet"))


def test_damage_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.parquet", "parquet", random_rows(2_000))
    data = bytearray(path.read_bytes())
    data[4:2_000] = bytes(1_996)
    path.write_bytes(data)
    with pytest.raises(InputError, match="found no "):
        list(read_rows(path, "parquet"))


def test_without_pyarrow_the_extra_is_named_and_the_other_formats_work(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from hambatch.errors import MissingDependency\n"
        "from hambatch.sinks.formats import open_table\n"
        "for kind in ('csv', 'tsv', 'jsonl', 'isic'):\n"
        "    with open_table(Path(kind), kind): pass\n"
        "try:\n"
        "    with open_table(Path('p'), 'parquet'): pass\n"
        "except MissingDependency as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "pip install 'hambatch[parquet]'" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv", "isic", "jsonl", "tsv"]
