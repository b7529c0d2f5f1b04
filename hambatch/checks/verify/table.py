"""The form of a table: whether it is the one that was recorded, and each of its rows one row."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hambatch.sinks.columns import MalformedTable, refusing_malformed
from hambatch.sinks.formats import read_rows_leniently
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row

NEXT = "hambatch score SOURCE --out preds.csv, then hambatch verify preds.csv SOURCE"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the table says.

    ``image`` is empty for what concerns the whole table. Nothing is encoded yet: a name has
    surrogate escapes for bytes that are no text.
    """

    image: str
    what: str
    in_table: str = ""
    found: str = ""


def as_csv(differences: Iterable[Difference]) -> str:
    """Write differences as CSV with a header; every cell encoded once, as in the table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "difference", "in_table", "found"))
    writer.writerows(map(encode_name, (d.image, d.what, d.in_table, d.found)) for d in differences)
    return text.getvalue()


class ReadTable(NamedTuple):
    """The rows by image, the first where an image has several, and what is wrong with them."""

    rows: dict[str, Row]
    differences: list[Difference]


def read_table(path: Path, kind: str, recorded_sha256: str) -> ReadTable:
    """Read a table that may have been changed since it was written.

    Raises InputError if it does not exist, or is no table of that format at all.
    """
    rows: dict[str, Row] = {}
    found = []
    with refusing_malformed(path, NEXT):
        sha256 = sha256_of_file(path)
    if sha256 != recorded_sha256:
        what = "the table is not the one that was recorded"
        found.append(Difference("", what, recorded_sha256, sha256))
    before = ""
    for row in read_rows_leniently(path, kind, NEXT):
        if isinstance(row, MalformedTable):
            # What it quotes of the table is encoded there.
            image = decode_name(row.image) if row.image else ""
            found.append(Difference(image, "no row", decode_name(row.found), row.wanted))
            continue
        here = encode_name(row.image)
        if row.image in rows:
            found.append(Difference(row.image, "image has several rows"))
        elif here < before:
            found.append(Difference(row.image, "row is out of order"))
        before = max(before, here)
        rows.setdefault(row.image, row)
    return ReadTable(rows, found)
