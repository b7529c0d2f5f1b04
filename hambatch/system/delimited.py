"""Delimited text as programs export it: encoding, delimiter and header, found at its beginning."""

import codecs
import csv
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from hambatch.system.text import excerpt

DELIMITERS = ",;\t"

WANTED = "a table of text in UTF-8 or UTF-16, as Excel saves with CSV UTF-8 or Unicode text"

MOST_COLUMNS = 10_000
"""pandas takes a quarter of a millisecond for a column, however few rows there are."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

_NO_TEXT = {
    codecs.BOM_UTF32_LE: "UTF-32",  # whose mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "UTF-32",
    b"PK\x03\x04": "an Excel workbook whose name does not end in .xlsx, or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip file",
    b"PAR1": "a Parquet file, whose name does not end in .parquet",
}

_QUOTED = re.compile(r'"(?:[^"]|"")*"?')

_SEPARATOR_LINE = re.compile(r'"?sep=([^"\r\n])"?[,;\t]*\s*', re.IGNORECASE)
"""What Excel writes, and reads, above the header."""


class NotDelimited(Exception):
    """What was found in place of a table, and what was wanted."""

    def __init__(self, found: str, wanted: str = WANTED) -> None:
        super().__init__(f"found {found}; wanted {wanted}")
        self.found, self.wanted = found, wanted


@dataclass(frozen=True)
class Layout:
    """How a table is laid out; ``header`` holds the names without spaces around them."""

    delimiter: str
    header: list[str]

    @property
    def decimal_comma(self) -> bool:
        """Whether a comma may be the decimal point of a number."""
        return self.delimiter != ","


@contextmanager
def open_delimited(path: Path) -> Iterator[tuple[TextIO, Layout]]:
    """Give the text of a table from its first row on, and its layout.

    The delimiter is the one that a line ``sep=;`` above the header names, else the first comma,
    semicolon or tab of the header that is not quoted; no cell of a row decides it.

    Raises NotDelimited if it has no header or is no text, also while it is read; OSError.
    """
    encoding = _encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as stream:
            yield stream, _layout(stream)
    except UnicodeDecodeError as error:
        raise _no_text(path, encoding) from error


def _encoding(path: Path) -> str:
    if path.is_fifo():  # The table is read again for its cells and for its hash.
        raise NotDelimited("a pipe, which can be read only once", "a file")
    with path.open("rb") as stream:
        head = stream.read(1024)
    for start, what in _NO_TEXT.items():
        if head.startswith(start):
            raise NotDelimited(what)
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        raise NotDelimited("bytes that are no text, or UTF-16 without a byte-order mark")
    if line := _line_of_nul(path):
        raise NotDelimited(f"a byte 0x00, which is no text, in line {line}")
    return "utf-8"


def _line_of_nul(path: Path) -> int:
    """Find the first byte 0, at which pandas would end a cell: its line, 0 if there is none."""
    lines = 1
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            if (at := chunk.find(b"\0")) >= 0:
                return lines + chunk.count(b"\n", 0, at)
            lines += chunk.count(b"\n")
    return 0


def _layout(stream: TextIO) -> Layout:
    delimiter = ""
    for line in stream:
        if named := _SEPARATOR_LINE.fullmatch(line):
            delimiter = named[1]
        elif line.strip(DELIMITERS + " \r\n\ufeff"):
            delimiter = delimiter or _first_delimiter(line)
            return Layout(delimiter, _header(chain([line], stream), delimiter))
    raise NotDelimited("no header", "a table with a header")


def _first_delimiter(line: str) -> str:
    return next((c for c in _QUOTED.sub("", line) if c in DELIMITERS), ",")


def _header(lines: Iterator[str], delimiter: str) -> list[str]:
    try:
        cells = next(_cells(lines, delimiter))
    except csv.Error as error:
        raise NotDelimited(f"no header ({error})", "a table with a header") from error
    if len(cells) > MOST_COLUMNS:
        raise NotDelimited(f"{len(cells):,} columns", f"at most {MOST_COLUMNS:,}")
    return [cell.strip().strip("\ufeff") for cell in cells]


def _cells(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> Iterator[list[str]]:
    csv.field_size_limit(sys.maxsize)  # pandas has none; a report in a cell may be megabytes
    return csv.reader(lines, delimiter=delimiter, strict=strict)


def rows_of(stream: TextIO, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yield each row below the header with its number, from 1; a blank line is a row without cells.

    A row may be shorter than the header, and longer by empty cells. Raises NotDelimited, naming
    the row, if it has other cells beyond the header, or a quote that is not closed.
    """
    wanted = len(layout.header)
    rows = _cells(stream, layout.delimiter, strict=True)
    number = 1
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            wanted_text = "cells whose quotes are closed"
            raise NotDelimited(f"no cells in row {number} ({error})", wanted_text) from error
        if any(cell.strip() for cell in cells[wanted:]):
            found = f"rows with more cells than the header, the first: row {number}"
            first = f"{excerpt(repr(cells[0]))} with {len(cells)} cells"
            raise NotDelimited(f"{found} ({first})", f"{wanted}, one for each column")
        yield number, cells
        number += 1


def width_of(path: Path) -> int:
    """Count the cells of the longest row, where cells beyond the header are all empty.

    Raises NotDelimited as :func:`rows_of` does.
    """
    with open_delimited(path) as (stream, layout):
        widths = (len(cells) for _, cells in rows_of(stream, layout))
        return max(len(layout.header), max(widths, default=0))


def _no_text(path: Path, encoding: str) -> NotDelimited:
    """Name the first line that is not text of that encoding."""
    if encoding != "utf-16":
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    byte = line[error.start]
                    return NotDelimited(f"byte 0x{byte:02x}, which is no UTF-8, in line {number}")
    return NotDelimited(f"bytes that are no {encoding.upper()}")
