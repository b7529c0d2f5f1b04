"""The table as CSV (RFC 4180, but for line ends of one character)."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TextIO

from hambatch.sinks.columns import (
    NUMBERS,
    MalformedTable,
    Record,
    Value,
    carried_names,
    check_columns,
    header_of,
    number_text,
    record_of,
)
from hambatch.system.files import closed_at_the_end
from hambatch.system.text import excerpt
from hambatch.types import Row

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?", re.ASCII)


def open_table(
    path: Path, carried: Sequence[str] = (), delimiter: str = ",", *, checked: bool = True
) -> AbstractContextManager[Callable[[Row], None]]:
    """Write rows; raises OSError when the file system refuses."""
    names = carried_names(carried)
    header = header_of(names, checked=checked)

    def values(row: Row) -> Iterable[Value]:
        return record_of(row, names, checked=checked).values()

    return open_csv(path, header, values, delimiter)


@contextmanager
def open_csv(
    path: Path,
    header: Sequence[str],
    values_of: Callable[[Row], Iterable[Value]],
    delimiter: str = ",",
) -> Iterator[Callable[[Row], None]]:
    """Write a CSV of any columns; raises OSError when the file system refuses."""
    with closed_at_the_end(path.open("w", encoding="utf-8", newline="")) as stream:
        yield write_csv(stream, header, values_of, delimiter)


def write_rows(stream: TextIO, carried: Sequence[str]) -> Callable[[Row], None]:
    """Begin the table in an open stream, and give what writes a row into it."""
    names = carried_names(carried)
    return write_csv(stream, header_of(names), lambda row: record_of(row, names).values())


def write_csv(
    stream: TextIO,
    header: Sequence[str],
    values_of: Callable[[Row], Iterable[Value]],
    delimiter: str = ",",
) -> Callable[[Row], None]:
    """Begin a CSV of any columns in an open stream, and give what writes a row into it."""
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)

    def write(row: Row) -> None:
        writer.writerow(map(_cell, values_of(row)))

    return write


def _cell(value: Value) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else number_text(value)


def read_records(
    path: Path, wanted: Sequence[str], delimiter: str = ","
) -> Iterator[Record | MalformedTable]:
    """Yield one record a row: numbers, where a column of numbers holds one, else text."""
    # Spreadsheets write a byte-order mark.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        yield from records_in(stream, wanted, delimiter)


def records_in(
    stream: Iterable[str], wanted: Sequence[str], delimiter: str = ","
) -> Iterator[Record | MalformedTable]:
    """Yield the records of an open table; bytes that are no UTF-8 are surrogate escapes there."""
    rows = _rows(stream, delimiter)
    header = next(rows, [])
    if isinstance(header, MalformedTable):
        raise header
    check_columns(header, wanted)
    parsers = [_number if name in NUMBERS else _text for name in header]
    for number, cells in enumerate(rows, 1):
        if isinstance(cells, MalformedTable):
            yield MalformedTable(f"{cells.found} in row {number}", cells.wanted)
        elif len(cells) != len(header):
            yield MalformedTable(
                f"{len(cells)} cells in row {number} (image {excerpt(repr(cells[0]))})",
                f"{len(header)}, one for each column",
                cells[0] if header[0] == "image" else "",
            )
        else:
            values = zip(header, parsers, cells, strict=True)
            yield {name: parse(text) for name, parse, text in values}


def _rows(lines: Iterable[str], delimiter: str) -> Iterator[list[str] | MalformedTable]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
            "".join(cells).encode()
        except StopIteration:
            return
        except (UnicodeEncodeError, csv.Error) as error:
            # The reader begins afresh with the next line.
            why = "a byte that is no UTF-8" if isinstance(error, UnicodeEncodeError) else error
            yield MalformedTable(f"no CSV ({why})", "a UTF-8 CSV")
            continue
        # A row without cells is an empty line, which stands for no image.
        if cells:
            yield cells


def _text(text: str) -> Value:
    return text or None


def _number(text: str) -> Value:
    return float(text) if _NUMBER.fullmatch(text) else text or None
