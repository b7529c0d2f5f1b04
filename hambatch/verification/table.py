"""The table by itself: the recorded one, every line a row, each image once and in order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hambatch.batches import Row
from hambatch.errors import InputError
from hambatch.hashing import sha256_of_file
from hambatch.names import decode_name, encode_name
from hambatch.tables import read_records
from hambatch.tables.columns import COLUMNS
from hambatch.tables.malformed import MalformedTable, check_columns
from hambatch.tables.rows import row_of
from hambatch.verification.differences import Difference

NEXT = "hambatch score SOURCE --out preds.csv, then hambatch verify preds.csv SOURCE"


@dataclass
class ReadTable:
    """The rows by image, the first where an image has several, and what is wrong with them."""

    rows: dict[str, Row] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)


def read_table(path: Path, kind: str, record: dict[str, Any]) -> ReadTable:
    """Read a table that may have been changed since it was written.

    Raises
    ------
    InputError
        If it is no table of that format at all.
    """
    table = ReadTable()
    wanted, found = record["output"]["sha256"], sha256_of_file(path)
    if found != wanted:
        table.differences.append(
            Difference("", "the table is not the one that was recorded", wanted, found)
        )
    before = ""
    for row in _rows(path, kind, table.differences):
        here = encode_name(row.image)
        if row.image in table.rows:
            table.differences.append(Difference(row.image, "image has several rows"))
        elif here < before:
            table.differences.append(Difference(row.image, "row is out of order"))
        before = max(before, here)
        table.rows.setdefault(row.image, row)
    return table


def _rows(path: Path, kind: str, differences: list[Difference]) -> Iterator[Row]:
    """Yield what can be read as rows; name the rest. Raises for what is no table at all."""
    number = 0
    try:
        for number, record in enumerate(read_records(path, kind, NEXT), 1):
            if number == 1:
                check_columns(list(record), COLUMNS)
            try:
                yield row_of(record, number)
            except MalformedTable as error:
                image = decode_name(str(record["image"] or ""))
                differences.append(Difference(image, "no row", error.found, error.wanted))
    except MalformedTable as error:
        raise InputError(f"{path}: {error}.\nNext: {NEXT}") from error
    except InputError as error:
        if not number:
            raise
        last = str(error).splitlines()[0]
        differences.append(Difference("", f"unreadable after row {number}", last))
