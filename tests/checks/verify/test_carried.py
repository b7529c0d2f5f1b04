"""What a row carries from a manifest, as `verify` reads and compares it."""

from dataclasses import replace
from pathlib import Path

import pytest

from hambatch.checks.verify.row import carried_differences
from hambatch.checks.verify.table import Difference, read_table
from hambatch.sinks.formats import open_table
from hambatch.system.files import sha256_of_file
from hambatch.types import Row
from tests.sinks.made_rows import random_rows

NAMES = ("lesion_id", "=site")

ROWS = [
    replace(row, carried=(f"L{k}", None if k % 2 else "-1"))
    for k, row in enumerate(sorted(random_rows(9)[-4:], key=lambda row: row.image))
]


def written(path: Path, kind: str) -> Path:
    with open_table(path, kind, NAMES) as write:
        for row in ROWS:
            write(row)
    return path


def differences(path: Path, kind: str, carried: tuple[str, ...] = NAMES) -> list[Difference]:
    return read_table(path, kind, sha256_of_file(path), carried).differences


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_a_table_as_a_run_writes_it_has_no_difference(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path / "table", kind)
    assert differences(path, kind) == []
    found = read_table(path, kind, sha256_of_file(path), NAMES)
    assert list(found.rows.values()) == ROWS


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "xlsx"])
def test_a_column_that_the_record_does_not_name_is_a_difference(tmp_path: Path, kind: str) -> None:
    (found,) = differences(written(tmp_path / "table", kind), kind, NAMES[:1])
    assert (found.what, found.in_table.endswith("lesion_id, %3Dsite")) == ("columns", True)


def test_a_cell_that_is_not_encoded_is_a_difference(tmp_path: Path) -> None:
    path = written(tmp_path / "table", "csv")
    path.write_text(path.read_text().replace("%2D1", "-1", 1))
    (found,) = differences(path, "csv")
    assert found.what == "%3Dsite is not as a run writes it"


def test_cells_of_another_row_are_a_difference() -> None:
    row = Row("a.jpg", "failed", carried=("L1", None))
    assert list(carried_differences(row, ("L1", None))) == []
    assert list(carried_differences(row, ["L1", ""])) == []
    wanted = Difference("a.jpg", "carried columns differ", '["L1", null]', '["L2", null]')
    assert list(carried_differences(row, ("L2", None))) == [wanted]
    assert len(list(carried_differences(row, ()))) == 1
