"""Tables of scores: one file a format, all with the same rows.

A new format takes three steps:

1. Write ``hambatch/sinks/NAME_table.py`` with the two functions of :class:`Format`.
2. Add it to :data:`FORMATS`, its suffixes to :data:`SUFFIXES`, and its name to the choices of
   ``--format`` in ``cli/score.py`` and, if it can be read, ``cli/verify.py``.
3. Add it to the cases of ``tests/sinks/test_formats.py`` and to ``docs/output.md``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from hambatch.sinks import csv_table, isic_table, jsonl_table, parquet_table
from hambatch.sinks.columns import COLUMNS, MalformedTable, Record, refusing_malformed, row_of
from hambatch.types import Row


class Format(Protocol):
    """What the module of a format holds; a missing package raises MissingDependency."""

    def open_table(self, path: Path) -> AbstractContextManager[Callable[[Row], None]]:
        """Write rows to exactly this path.

        Raises OSError when the file system refuses: on opening, writing, or as the block ends.
        A block that ends with an exception of its own raises that.
        """
        ...

    def read_records(self, path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
        """Yield the values of each row, or what is wrong with it, without a check of the values.

        ``wanted`` are columns that have to be there; others are yielded too. Raises
        MalformedTable if the whole file is no such table, OSError if it cannot be read.
        """
        ...


FORMATS: dict[str, Format] = {
    "csv": csv_table,
    "parquet": parquet_table,
    "jsonl": jsonl_table,
    "isic": isic_table,
}

SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def format_of(path: Path, kind: str = "auto") -> str:
    """Choose the format: ``kind``, or with ``auto`` what the suffix says, else ``csv``."""
    return SUFFIXES.get(path.suffix.lower(), "csv") if kind == "auto" else kind


def open_table(path: Path, kind: str) -> AbstractContextManager[Callable[[Row], None]]:
    """Open a table of a format to write rows to; raises as :meth:`Format.open_table`."""
    return FORMATS[kind].open_table(path)


def read_records(path: Path, kind: str, next_step: str) -> Iterator[Record]:
    """Yield the values of a table that people may have made or changed, unchecked.

    Names are as written in the table, columns whatever there is. Raises InputError, which ends
    with ``next_step``, if the file cannot be read in this format.
    """
    with refusing_malformed(path, next_step):
        yield from _whole(FORMATS[kind].read_records(path, ()))


def read_rows(path: Path, kind: str) -> Iterator[Row]:
    """Yield the rows that were written, one by one; the inverse of :func:`open_table`.

    Columns that were added later are left out. Raises InputError, naming the file, the row
    (from 1), the column and what was wanted, if it is not a table that hambatch wrote.
    """
    next_step = f"write it again: hambatch score IMAGES --out {path} --overwrite"
    with refusing_malformed(path, next_step):
        for number, record in enumerate(_whole(FORMATS[kind].read_records(path, COLUMNS)), 1):
            yield row_of(record, number)


def read_rows_leniently(path: Path, kind: str, next_step: str) -> Iterator[Row | MalformedTable]:
    """Yield the rows, and in place of one that no run wrote, what is wrong with it.

    Raises InputError if the file cannot be read in this format, or every row lacks a column.
    """
    with refusing_malformed(path, next_step):
        for number, record in enumerate(FORMATS[kind].read_records(path, COLUMNS), 1):
            try:
                yield record if isinstance(record, MalformedTable) else row_of(record, number)
            except MalformedTable as error:
                yield error


def _whole(records: Iterator[Record | MalformedTable]) -> Iterator[Record]:
    for record in records:
        if isinstance(record, MalformedTable):
            raise record
        yield record
