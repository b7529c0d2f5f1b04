"""The form of a table: whether it is the one that was recorded, and each of its rows one row."""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, NamedTuple

from hambatch.sinks.columns import (
    MalformedTable,
    Record,
    carried_names,
    header_of,
    record_of,
    refusing_malformed,
)
from hambatch.sinks.dicom_sr_table import ROWS, open_member
from hambatch.sinks.formats import DICOM_SR, open_table, read_rows_leniently
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row

_SHOWN = 500
"""Characters of a cell that is shown."""

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
    for d in differences:
        shown = (_cut(d.in_table), _cut(d.found))
        writer.writerow(map(encode_name, (d.image, d.what, *shown)))
    return text.getvalue()


def _cut(cell: str) -> str:
    return cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]} ..."


class ReadTable(NamedTuple):
    """The rows by image, the first where an image has several, and what is wrong with them.

    ``whole``: each row is one row of a run, written as a run writes it.
    """

    rows: dict[str, Row]
    differences: list[Difference]
    whole: bool


def read_table(
    path: Path,
    kind: str,
    recorded_sha256: str,
    carried: Sequence[str] = (),
    *,
    checked: bool = True,
) -> ReadTable:
    """Read a table that may have been changed since it was written.

    ``carried`` are the columns that its record names after ours; ``checked``: it has columns about
    quality and risk.
    Raises InputError if it does not exist, or is no table of that format at all.
    """
    rows: dict[str, Row] = {}
    found = []
    with refusing_malformed(path, NEXT):
        sha256 = sha256_of_file(path)
    if sha256 != recorded_sha256:
        what = "the table is not the one that was recorded"
        found.append(Difference("", what, recorded_sha256, sha256))
    malformed = list(_read_into(rows, path, kind, carried, checked))
    malformed = malformed or list(_rewritten(rows, path, kind, carried, checked))
    return ReadTable(rows, [*found, *malformed], whole=not malformed)


def _read_into(
    rows: dict[str, Row], path: Path, kind: str, carried: Sequence[str], checked: bool
) -> Iterator[Difference]:
    names = carried_names(carried)
    wanted = header_of(names, checked=checked)
    before, columns = "", wanted
    for read in read_rows_leniently(path, kind, NEXT, carried):
        if isinstance(read, MalformedTable):
            # What it quotes of the table is encoded there.
            image = decode_name(read.image) if read.image else ""
            yield Difference(image, "no row", decode_name(read.found), read.wanted)
            continue
        record, row = read
        if tuple(record) != columns:
            # Once for all rows of the same columns.
            columns = tuple(record)
            yield Difference(row.image, "columns", ", ".join(columns), ", ".join(wanted))
        if wrong := _otherwise_written(record, record_of(row, names, checked=checked), row.image):
            yield wrong
        here = encode_name(row.image)
        if row.image in rows:
            yield Difference(row.image, "image has several rows")
        elif here < before:
            yield Difference(row.image, "row is out of order")
        before = max(before, here)
        rows.setdefault(row.image, row)


def _otherwise_written(record: Record, written: Record, image: str) -> Difference | None:
    for column, wanted in written.items():
        if record.get(column) != wanted:
            found = decode_name(str(record.get(column)))
            return Difference(image, f"{column} is not as a run writes it", found, str(wanted))
    return None


def _opened(path: Path, kind: str) -> AbstractContextManager[IO[bytes]]:
    return open_member(path, ROWS) if kind == DICOM_SR else path.open("rb")


def _rewritten(
    rows: dict[str, Row], path: Path, kind: str, carried: Sequence[str], checked: bool
) -> Iterator[Difference]:
    """Write the rows again: a run gives the same bytes, in the formats that are text."""
    if kind in ("parquet", "xlsx"):
        # Their bytes are those of one version of pyarrow and of openpyxl.
        return
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        again, text = Path(place) / "table", "csv" if kind == DICOM_SR else kind
        with open_table(again, text, carried, checked=checked) as write:
            for row in rows.values():
                write(row)
        if sha256_of_file(again) == sha256_of_file(path):
            return
        with _opened(path, kind) as found, again.open("rb") as wanted:
            for number, lines in enumerate(zip_longest(found, wanted, fillvalue=b""), 1):
                if lines[0] != lines[1]:
                    shown = (line[:_SHOWN].decode(errors="replace") for line in lines)
                    yield Difference("", f"line {number} is not as a run writes it", *shown)
                    return
