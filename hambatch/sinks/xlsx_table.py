"""The table as an Excel workbook of one sheet, through openpyxl: text is text, numbers numbers."""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from hambatch.sinks.columns import (
    MalformedTable,
    Record,
    Value,
    carried_names,
    check_columns,
    header_of,
    record_of,
)
from hambatch.sources.listing import Listing
from hambatch.system import workbook
from hambatch.system.files import closed_at_the_end
from hambatch.system.text import encode_name, excerpt
from hambatch.system.workbook import LONGEST_CELL, length_of
from hambatch.types import Row

MOST_ROWS = workbook.MOST_ROWS - 1
"""Images: the first row of the sheet holds the names of the columns."""

SHEET = "predictions"

_ALWAYS = datetime(1980, 1, 1)
"""The oldest time that a zip can hold: the same rows give the same bytes."""

_ESCAPE = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\ufffe\uffff]")
"""What Excel would read as another character, as it does ``_x0041_``, and what XML cannot hold."""

_ESCAPED = {"%5F": "_", "%EF%BF%BE": "\ufffe", "%EF%BF%BF": "\uffff"}

_UNESCAPE = re.compile("%5F(?=x[0-9A-Fa-f]{4}(?:_|%5F))|%EF%BF%B[EF]")


def problem_with(listing: Listing) -> str:
    """Say why no sheet can hold a table of these images; empty if one can."""
    if listing.count > MOST_ROWS:
        return f"found {listing.count:,} images; wanted at most {MOST_ROWS:,}, the rows of a sheet"
    for entry in listing.entries():
        for cell in filter(None, (entry.name, *map(encode_name, filter(None, entry.carried)))):
            if length_of(text_of(cell)) > LONGEST_CELL:
                return (
                    f"found a cell of {length_of(text_of(cell)):,} characters for the image "
                    f"{excerpt(entry.name)}; wanted at most {LONGEST_CELL:,}, as Excel takes"
                )
    return ""


def text_of(text: str) -> str:
    """Encode what a sheet cannot hold, in the way of all names, which readers decode."""
    return _ESCAPE.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), text)


def _text_in(value: Value) -> Value:
    """Undo :func:`text_of`: the cells are those of every other format."""
    if not isinstance(value, str):
        return value
    return _UNESCAPE.sub(lambda found: _ESCAPED[found[0]], value)


@contextmanager
def open_table(
    path: Path, carried: Sequence[str] = (), *, checked: bool = True
) -> Iterator[Callable[[Row], None]]:
    """Write rows, of which none is kept in memory.

    Raises OSError when the file system refuses, MissingDependency without openpyxl, ValueError for
    a cell that is too long for Excel: :func:`hambatch.sinks.formats.refuse_unfit` comes before.
    """
    names = carried_names(carried)
    workbook.openpyxl()
    # Some programs read a zip only if it says the size of a member before its bytes: the sheet, of
    # 800 MB for a million rows, is written to a file first, which has no name and ends with us.
    with (
        closed_at_the_end(path.open("wb")) as stream,
        TemporaryFile(dir=path.parent, prefix=".sheet") as sheet,
    ):
        with _open_book(sheet) as (book, append):
            append(header_of(names, checked=checked))
            yield lambda row: append(record_of(row, names, checked=checked).values())
        _save(book, stream)


@contextmanager
def _open_book(file: IO[bytes]) -> Iterator[tuple[Any, Callable[[Iterable[Value]], None]]]:
    """Make a workbook of one sheet, and what writes rows of that into a file."""
    from openpyxl import Workbook
    from openpyxl.packaging.core import DocumentProperties
    from openpyxl.worksheet._writer import WorksheetWriter

    book = Workbook(write_only=True)
    book.properties = DocumentProperties(creator="hambatch", created=_ALWAYS, modified=_ALWAYS)
    sheet = book.create_sheet(SHEET)
    sheet.freeze_panes = "A2"
    sheet._writer = writer = WorksheetWriter(sheet, out=file)
    writer.cleanup = lambda: None
    try:
        writer.write_top()
        yield book, lambda values: sheet.append([_cell(sheet, value) for value in values])
        sheet.close()
    finally:
        # They would close themselves later, and write to the file when it is closed.
        with suppress(OSError):
            for writing in filter(None, (sheet._rows, writer.xf)):
                writing.close()


def _cell(sheet: Any, value: Value) -> Any:
    if not isinstance(value, str):
        return value
    text = text_of(value)
    if length_of(text) > LONGEST_CELL:
        raise ValueError(f"found a cell of {length_of(text)} characters: {excerpt(text)!r}")
    return text if text[:1] not in ("=", "#") else _text_cell(sheet, text)


def _text_cell(sheet: Any, text: str) -> Any:
    """Make a cell of text that openpyxl alone would take for a formula or an error."""
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    return cell


class _Members:
    """What openpyxl writes the parts of a workbook to: a zip whose members have no time."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self.namelist = archive.namelist

    def writestr(self, name: str, content: str | bytes) -> None:
        """Write a part whole."""
        self._archive.writestr(_member(name), content)

    def write(self, file: IO[bytes], name: str) -> None:
        """Write a part of the bytes of an open file."""
        with self._archive.open(_member(name, size=file.seek(0, os.SEEK_END)), "w") as member:
            file.seek(0)
            shutil.copyfileobj(file, member)


def _member(name: str, size: int = 0) -> ZipInfo:
    member = ZipInfo(name)
    member.compress_type, member.file_size = ZIP_DEFLATED, size
    return member


def _save(book: Any, stream: IO[bytes]) -> None:
    from openpyxl.writer.excel import ExcelWriter

    with ZipFile(stream, "w") as archive:
        ExcelWriter(book, _Members(archive)).write_data()


def read_records(path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
    """Yield one record a row, parsed in a child process; damage ends them and is the last."""
    found = workbook.read_records(
        path,
        lambda names: check_columns([str(_text_in(name)) for name in names], wanted),
        formulas=bool(wanted),
    )
    for record in found:
        if isinstance(record, MalformedTable):
            yield record
        else:
            yield {str(_text_in(name)): _text_in(value) for name, value in record.items()}
