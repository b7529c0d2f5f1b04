"""A CSV whose every cell is text, and refusals that name the row and the value."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.errors import InputError

NAMED = 5
"""How many names a message lists before it only counts."""


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
    """Read a UTF-8 CSV; nothing is taken for a missing value, not even ``NA``.

    Raises
    ------
    InputError
        If the file cannot be read as such a table, or has no rows.
    """
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
    table = TextTable(path, rows, next_step)
    # pandas makes an index of the first column where rows have a cell too many.
    if not isinstance(rows.index, pd.RangeIndex):
        raise table.refused("rows with more cells than the header", "one cell for each column")
    if rows.empty:
        raise table.refused("no rows", "one row an image")
    return table
