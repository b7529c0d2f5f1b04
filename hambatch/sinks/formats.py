"""Tables of scores: one file a format, all with the same rows."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hambatch.sinks import csv_table, isic_table, jsonl_table, parquet_table
from hambatch.sinks.columns import COLUMNS, MalformedTable, Record, refusing_malformed, row_of
from hambatch.types import Row


@dataclass(frozen=True)
class Format:
    """How rows are written to a path, and how their values are read from it.

    ``read_records`` yields, in place of a row that cannot be read, what is wrong
    with it; it raises MalformedTable for what is no table at all.
    """

    open_table: Callable[[Path], AbstractContextManager[Callable[[Row], None]]]
    read_records: Callable[[Path, Sequence[str]], Iterator[Record | MalformedTable]]


FORMATS: dict[str, Format] = {
    "csv": Format(csv_table.open_table, csv_table.read_records),
    "parquet": Format(parquet_table.open_table, parquet_table.read_records),
    "jsonl": Format(jsonl_table.open_table, jsonl_table.read_records),
    "isic": Format(isic_table.open_table, isic_table.read_records),
}


_SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def format_of(path: Path, kind: str = "auto") -> str:
    """Choose the format: ``kind``, or with ``auto`` what the suffix says, else ``csv``."""
    return _SUFFIXES.get(path.suffix.lower(), "csv") if kind == "auto" else kind


def open_table(path: Path, kind: str) -> AbstractContextManager[Callable[[Row], None]]:
    """Open a table to write rows to, at exactly this path.

    Parameters
    ----------
    kind
        A key of :data:`FORMATS`.

    Raises
    ------
    OSError
        When the file system refuses: on opening, writing, or as the block ends.
        A block that ends with an exception of its own raises that.
    MissingDependency
        If the format needs a package that is not installed.
    """
    return FORMATS[kind].open_table(path)


def read_records(path: Path, kind: str, next_step: str) -> Iterator[Record]:
    """Yield the values of a table that people may have made or changed, unchecked.

    Names are as written in the table, columns whatever there is.

    Raises
    ------
    InputError
        If the file cannot be read in this format; it ends with ``next_step``.
    MissingDependency
        If the format needs a package that is not installed.
    """
    with refusing_malformed(path, next_step):
        yield from _whole(FORMATS[kind].read_records(path, ()))


def read_rows(path: Path, kind: str) -> Iterator[Row]:
    """Yield the rows that were written, one by one; the inverse of :func:`open_table`.

    Columns that somebody added are left out.

    Raises
    ------
    InputError
        If the file cannot be read, or is no table that hambatch wrote: naming
        the file, the row (from 1), the column, and what was wanted.
    MissingDependency
        If the format needs a package that is not installed.
    """
    next_step = f"write it again: hambatch score IMAGES --out {path} --overwrite"
    with refusing_malformed(path, next_step):
        for number, record in enumerate(_whole(FORMATS[kind].read_records(path, COLUMNS)), 1):
            yield row_of(record, number)


def read_what_there_is(path: Path, kind: str, next_step: str) -> Iterator[Row | MalformedTable]:
    """Yield the rows, and in place of one that no run wrote, what is wrong with it.

    Raises
    ------
    InputError
        If the file is no table at all: cannot be read in this format, or lacks
        a column in every row.
    MissingDependency
        If the format needs a package that is not installed.
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
