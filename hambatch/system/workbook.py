"""Excel workbooks that are read, through openpyxl: in a child process, and within bounds.

A workbook is an archive of XML that somebody may have made to fill the memory: a few kilobytes can
unpack to any size, and one string can stand in every cell. So it is parsed in a process whose
memory is limited, which sends the rows on, some at a time.
"""

import datetime
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

from hambatch.system.malformed import MalformedTable
from hambatch.system.packages import require
from hambatch.system.probe import ProbeFailed, report, stream_probe

MOST_ROWS, MOST_COLUMNS = 1_048_576, 10_000
"""Of a sheet, header included. Excel ends at the same row, and at 16,384 columns."""

LONGEST_CELL = 32_767
"""Characters that Excel takes, counted as UTF-16 has them."""

MOST_MEMORY = 2**30
"""Bytes of the process that parses: a million rows as Excel saves them take a quarter of it."""

MOST_IN_A_ROW, MOST_TEXT = 2**24, 2**30
"""Characters of text in a row and in all rows, a string that stands in several cells counted in
each: a run's have 300 and 300 million."""

SENT_AT_ONCE = 2**14
"""Characters: as many rows as have them together are sent as one message."""

WANTED = "a workbook of Excel (.xlsx)"

_UNCOMPUTED = re.compile(
    rb'<c\b(?![^<>]{0,200}\bt="str")[^<>]{0,200}\br="([A-Z]+[0-9]+)"[^<>]{0,200}>'
    rb"\s*<f\b(?:[^<>]{0,900}/>|[^<>]{0,900}>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>"
)
"""A cell with a formula and no value; one of an empty text has the type ``str``."""

_READ_AT_ONCE, _LONGEST_FORMULA = 2**20, 2**16

_OLD = b"\xd0\xcf\x11\xe0"

Values = list[Any]
"""The values of a row: text, numbers, bool, or None for an empty cell."""


def openpyxl() -> Any:
    """Import openpyxl; raises MissingDependency."""
    return require("openpyxl", extra="xlsx", purpose="an Excel table")


def length_of(text: str) -> int:
    """Count the characters of a cell as Excel does: those beyond U+FFFF are two."""
    return len(text) + (0 if text.isascii() else sum(one > "\uffff" for one in text))


def read_records(
    path: Path, check: Callable[[Sequence[str]], None], *, formulas: bool
) -> Iterator[dict[str, Any] | MalformedTable]:
    """Yield one record a row of the first sheet; damage ends them and is the last.

    ``check`` is called with the names of the columns, and raises MalformedTable to refuse them.
    A cell in a column without a name is in the record under the empty name. Rows without a value
    are records too, but for those at the end.

    ``formulas``: a formula is its text, such as ``=A1``, and there is one sheet alone: else it is
    the value that was last computed, and other sheets are left out.

    Raises MissingDependency without openpyxl.
    """
    openpyxl()
    _refuse_other_files(path)
    rows = _sent_rows(path, formulas=formulas)
    names = _header(next(rows, []))
    check([name for name in names if name])
    read = 0
    try:
        for read, values in enumerate(_without_blank_end(rows), 1):
            yield _record(names, values, read)
    except MalformedTable as error:
        yield MalformedTable(f"{error.found} after row {read}", error.wanted)


def _refuse_other_files(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(4)
    if head == _OLD:
        found = "a workbook that has a password, or is of the old kind (.xls)"
        raise MalformedTable(found, f"{WANTED} without a password")
    if head != b"PK\3\4":
        raise MalformedTable("no Excel workbook", WANTED)


def _header(values: Values) -> list[str]:
    names = ["" if value is None else str(value) for value in values]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise MalformedTable("no header", "names of columns in the first row of the first sheet")
    return names


def _without_blank_end(rows: Iterator[Values]) -> Iterator[Values]:
    """Leave out the rows without a value that follow the last one with any."""
    blank = 0
    for values in rows:
        if all(value is None for value in values):
            blank += 1
            continue
        yield from repeat([], blank)
        blank = 0
        yield values


def _record(names: Sequence[str], values: Values, number: int) -> dict[str, Any] | MalformedTable:
    while len(values) > len(names):
        if values.pop() is not None:
            first = str(values[0])
            found = f"more cells in row {number} (image {first[:LONGEST_CELL]!r})"
            return MalformedTable(found, f"{len(names)}, one for each column", first)
    cells = zip(names, values + [None] * (len(names) - len(values)), strict=True)
    return {name: value for name, value in cells if name or value is not None}


def _sent_rows(path: Path, *, formulas: bool) -> Iterator[Values]:
    """Yield rows, the header first; raises MalformedTable where the child ends before its end."""
    text = 0
    try:
        how = ("formulas" if formulas else "values", str(MOST_MEMORY))
        for sent in stream_probe(__name__, str(path), *how):
            if "found" in sent:
                raise MalformedTable(sent["found"], sent["wanted"])
            text += sent["text"]
            if text > MOST_TEXT:
                raise MalformedTable(f"more than {MOST_TEXT:,} characters of text", "fewer")
            yield from sent["rows"]
    except ProbeFailed as failed:
        if "MemoryError" in str(failed) or "out of memory" in str(failed):
            found = f"a workbook that takes more than {MOST_MEMORY / 1e9:.1f} GB of memory to read"
            raise MalformedTable(found, "a smaller one, or the table saved as CSV") from failed
        found = f"no Excel workbook (the reader {failed})"
        raise MalformedTable(found, "an undamaged file") from failed


def main() -> None:
    """Send the rows of a workbook, as a child of :func:`read_records`."""
    path, formulas, memory = sys.argv[1], sys.argv[2] == "formulas", int(sys.argv[3])
    # openpyxl only asks it whether a number is one of its own; to import it takes longer.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    load = openpyxl().load_workbook
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limited = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (limited, most))
    # A path would have to end in .xlsx.
    with open(path, "rb") as stream:
        workbook = load(stream, read_only=True, data_only=not formulas, keep_links=False)
        try:
            if not formulas:
                _refuse_uncomputed(workbook.worksheets)
            _send(workbook, alone=formulas)
        except MalformedTable as error:
            report({"found": error.found, "wanted": error.wanted})


def _refuse_uncomputed(sheets: Sequence[Any]) -> None:
    """Raise MalformedTable for a formula that no program has computed: it would be an empty cell.

    openpyxl, which writes formulas so, gives no way to tell such a cell from an empty one.
    """
    for sheet in sheets[:1]:
        with sheet._get_source() as stream:
            kept = b""
            while part := stream.read(_READ_AT_ONCE):
                if found := _UNCOMPUTED.search(kept + part):
                    raise MalformedTable(
                        f"a formula in cell {found[1].decode()} that no program has computed",
                        "values: open the workbook in a spreadsheet program, and save it there",
                    )
                kept = (kept + part)[-_LONGEST_FORMULA:]


def _send(workbook: Any, *, alone: bool) -> None:
    sheets = workbook.worksheets
    if not sheets or (alone and len(workbook.sheetnames) > 1):
        found = f"{len(workbook.sheetnames)} sheets, {len(sheets)} of them with cells"
        raise MalformedTable(found, "one sheet with cells")
    # What a workbook says of its size decides how many cells a row is filled up to.
    sheets[0].reset_dimensions()
    waiting: list[Values] = []
    text = 0
    for number, row in enumerate(sheets[0].iter_rows(values_only=True), 1):
        values = [_plain(value) for value in row]
        text += _checked_length(values, number)
        waiting.append(values)
        if text > SENT_AT_ONCE or len(waiting) * len(values) > SENT_AT_ONCE:
            report({"rows": waiting, "text": text})
            waiting, text = [], 0
    report({"rows": waiting, "text": text})


def _checked_length(values: Values, number: int) -> int:
    """Count the characters of a row; raises MalformedTable beyond what a sheet of Excel takes."""
    if number > MOST_ROWS or len(values) > MOST_COLUMNS:
        found = f"{number:,} rows and {len(values):,} columns"
        raise MalformedTable(found, f"at most {MOST_ROWS:,} and {MOST_COLUMNS:,}")
    lengths = [len(value) for value in values if isinstance(value, str)]
    if max(lengths, default=0) > LONGEST_CELL or sum(lengths) > MOST_IN_A_ROW:
        found = f"{sum(lengths):,} characters in row {number}"
        raise MalformedTable(found, f"at most {LONGEST_CELL:,} in a cell, {MOST_IN_A_ROW:,} in all")
    return sum(lengths)


def _plain(value: Any) -> Any:
    """Give what JSON has a form for; of a date and time, and anything else, its text."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    # A formula of several cells is an object that holds its text.
    return str(getattr(value, "text", None) or value)
