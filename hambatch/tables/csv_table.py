"""The table as CSV (RFC 4180, but for line ends of one character)."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hambatch.batches import Row
from hambatch.tables.columns import COLUMNS, NUMBERS, Record, Value, number_text, record_of
from hambatch.tables.malformed import MalformedTable, check_columns
from hambatch.tables.streams import closed_at_the_end

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?", re.ASCII)


@contextmanager
def open_table(path: Path) -> Iterator[Callable[[Row], None]]:
    """Write rows; raises OSError when the file system refuses."""
    with closed_at_the_end(path.open("w", encoding="utf-8", newline="")) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        yield lambda row: writer.writerow(map(cell, record_of(row).values()))


def cell(value: Value) -> str:
    """Write a value as text; None is an empty cell."""
    if value is None:
        return ""
    return value if isinstance(value, str) else number_text(value)


def read_records(path: Path, wanted: Sequence[str]) -> Iterator[Record]:
    """Yield one record a row: numbers, where a column of numbers holds one, else text.

    Parameters
    ----------
    wanted
        Columns that have to be there; the others are yielded too.

    Raises
    ------
    MalformedTable
        If the file is no UTF-8 CSV, a column is missing, or a row is cut short.
    OSError
        If it cannot be read.
    """
    # Spreadsheets write a byte-order mark.
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            # A row without cells is an empty line: nobody's row.
            rows = (cells for cells in csv.reader(stream, strict=True) if cells)
            yield from _records(rows, wanted)
        except (UnicodeDecodeError, csv.Error) as error:
            raise MalformedTable(f"no CSV ({error})", "a UTF-8 CSV") from error


def _records(rows: Iterator[list[str]], wanted: Sequence[str]) -> Iterator[Record]:
    header = next(rows, [])
    check_columns(header, wanted)
    parsers = [_number if name in NUMBERS else _text for name in header]
    for number, cells in enumerate(rows, 1):
        if len(cells) != len(header):
            raise MalformedTable(
                f"{len(cells)} cells in row {number} (image {cells[0]!r})",
                f"{len(header)}, one for each column",
            )
        yield {name: parse(text) for name, parse, text in zip(header, parsers, cells, strict=True)}


def _text(text: str) -> Value:
    return text or None


def _number(text: str) -> Value:
    return float(text) if _NUMBER.fullmatch(text) else text or None
