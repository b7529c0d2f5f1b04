"""The table as tab-separated text: as CSV, with a tab between cells."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from hambatch.sinks import csv_table
from hambatch.sinks.columns import MalformedTable, Record
from hambatch.types import Row


def open_table(
    path: Path, carried: Sequence[str] = (), *, checked: bool = True
) -> AbstractContextManager[Callable[[Row], None]]:
    """Write rows; raises OSError when the file system refuses."""
    return csv_table.open_table(path, carried, "\t", checked=checked)


def read_records(path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
    """Yield one record a row, as of CSV."""
    return csv_table.read_records(path, wanted, "\t")
