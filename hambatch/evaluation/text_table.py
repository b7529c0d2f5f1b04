"""A table whose every cell is text, and refusals that name the row and the value."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.tables import format_of, read_records
from hambatch.tables.columns import Value

NAMED = 5
"""How many names a message lists before it only counts."""

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class TextTable:
    """A table as it was read.

    Attributes
    ----------
    path
        The file, for messages.
    rows
        All text; a cell that is absent is an empty string.
    next_step
        The command that a refusal ends with.
    """

    path: Path
    rows: pd.DataFrame
    next_step: str

    def has(self, columns: Iterable[str]) -> bool:
        """Tell whether every one of ``columns`` is there."""
        return set(columns) <= set(self.rows.columns)

    def refused(self, found: str, wanted: str) -> InputError:
        """Build the error that names the file, the finding, the wish and what to type."""
        return InputError(f"{self.path}: found {found}; wanted {wanted}.\nNext: {self.next_step}")

    def columns_refused(self, wanted: str) -> InputError:
        """Build the error for a header of another kind."""
        return self.refused(f"columns {', '.join(map(str, self.rows.columns))}", wanted)

    def check(self, column: str, good: NDArray[np.bool_], wanted: str, named_by: str) -> None:
        """Refuse the table at the first row that is not ``good``.

        Parameters
        ----------
        column
            Where the offending values are.
        good
            One for each row.
        wanted
            What would have been accepted.
        named_by
            The column whose value tells the user which row it is.

        Raises
        ------
        InputError
            Naming the row, its value, and how many such rows there are.
        """
        bad = np.flatnonzero(~good)
        if bad.size:
            first = int(bad[0])
            value, name = self.rows[column].iloc[first], self.rows[named_by].iloc[first]
            found = f"{column} {value!r} in row {first + 1} ({named_by} {name!r})"
            raise self.refused(f"{found}; such rows: {bad.size}", wanted)

    def check_ids(self, ids: pd.Series, column: str) -> None:
        """Refuse empty and repeated image ids; ``ids`` were derived from ``column``.

        Raises
        ------
        InputError
            Naming the first rows that are to blame.
        """
        self.check(column, (ids != "").to_numpy(), "a name in every row", column)
        twice = ids[ids.duplicated()].drop_duplicates()
        if len(twice):
            rows = self.rows[column][ids.isin(twice.iloc[:1])]
            found = (
                f"{len(twice)} image_id in several rows: {first_names(twice)} "
                f"({twice.iloc[0]} is {', '.join(rows.iloc[:NAMED])})"
            )
            raise self.refused(found, "one row for every image_id")


def first_names(names: Iterable[str]) -> str:
    """List the first names, with dots for the others."""
    listed = list(names)
    return ", ".join(listed[:NAMED]) + (", ..." if len(listed) > NAMED else "")


def read_text_table(path: Path, next_step: str) -> TextTable:
    """Read CSV in UTF-8, or by its suffix Parquet or JSON lines.

    Nothing in a CSV is taken for a missing value, not even ``NA``; null of the
    other formats is an empty cell.

    Raises
    ------
    InputError
        If the file cannot be read as such a table, or has no rows.
    MissingDependency
        If it is Parquet, and pyarrow is not installed.
    """
    kind = format_of(path)
    rows = _csv(path, next_step) if kind == "csv" else _records(path, kind, next_step)
    table = TextTable(path, rows, next_step)
    if rows.empty:
        raise table.refused("no rows", "one row an image")
    return table


def _csv(path: Path, next_step: str) -> pd.DataFrame:
    try:
        rows = pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",  # spreadsheets write a byte-order mark
            compression=None,
        ).fillna("")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        why = f"no readable table ({error})"
        raise TextTable(path, pd.DataFrame(), next_step).refused(why, "a UTF-8 CSV") from error
    # pandas makes an index of the first column where rows have a cell too many.
    if not isinstance(rows.index, pd.RangeIndex):
        table = TextTable(path, rows, next_step)
        raise table.refused("rows with more cells than the header", "one cell for each column")
    return rows


def _records(path: Path, kind: str, next_step: str) -> pd.DataFrame:
    records = read_records(path, kind, next_step)
    texts = ({name: _text(value) for name, value in record.items()} for record in records)
    # Python's objects take ten times the memory of a pandas column: few at a time.
    chunks = iter(lambda: list(islice(texts, ROWS_AT_ONCE)), [])
    frames = [pd.DataFrame(chunk, dtype=str) for chunk in chunks]
    return pd.concat(frames, ignore_index=True).fillna("") if frames else pd.DataFrame()


def _text(value: Value) -> str:
    return "" if value is None else str(value)
