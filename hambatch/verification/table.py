"""The table by itself: the recorded one, every line a row, each image once and in order."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hambatch.batches import Row
from hambatch.hashing import sha256_of_file
from hambatch.names import decode_name, encode_name
from hambatch.tables import read_what_there_is
from hambatch.tables.malformed import MalformedTable, refusing_malformed
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
        If it is not there, or no table of that format at all.
    """
    table = ReadTable()
    with refusing_malformed(path, NEXT):
        wanted, found = record["output"]["sha256"], sha256_of_file(path)
    if found != wanted:
        table.differences.append(
            Difference("", "the table is not the one that was recorded", wanted, found)
        )
    before = ""
    for row in read_what_there_is(path, kind, NEXT):
        if isinstance(row, MalformedTable):
            table.differences.append(_no_row(row))
            continue
        here = encode_name(row.image)
        if row.image in table.rows:
            table.differences.append(Difference(row.image, "image has several rows"))
        elif here < before:
            table.differences.append(Difference(row.image, "row is out of order"))
        before = max(before, here)
        table.rows.setdefault(row.image, row)
    return table


def _no_row(error: MalformedTable) -> Difference:
    # What it quotes of the table is encoded there.
    image = decode_name(error.image) if error.image else ""
    return Difference(image, "no row", decode_name(error.found), error.wanted)
