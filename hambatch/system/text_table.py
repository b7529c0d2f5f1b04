"""Tables whose cells are all text until they are checked; a refusal names file, row and value."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

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
    next_step
        The command that a refusal ends with.
    rows
        All text; an absent cell is an empty string.
    """

    path: Path
    next_step: str
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)

    def holding(self, rows: pd.DataFrame) -> "TextTable":
        """Give the table with these rows; raises InputError if there are none."""
        if rows.empty:
            raise self.refused("no rows", "one row an image")
        return replace(self, rows=rows.fillna(""))

    def has(self, columns: Iterable[str]) -> bool:
        """Whether every one of ``columns`` is there."""
        return set(columns) <= set(self.rows.columns)

    def refused(self, found: str, wanted: str) -> InputError:
        """Build the error that names the file, what was found and wanted, and the next step."""
        return InputError(f"{self.path}: found {found}; wanted {wanted}.\nNext: {self.next_step}")

    def columns_refused(self, wanted: str) -> InputError:
        """Build the error for a table with other columns."""
        return self.refused(f"columns {self._columns}", wanted)

    @property
    def _columns(self) -> str:
        return ", ".join(map(str, self.rows.columns))

    def check_columns(self, columns: Iterable[str]) -> None:
        """Raise InputError if one of ``columns`` is absent."""
        absent = [column for column in columns if column not in self.rows.columns]
        if absent:
            found = f"no column {', '.join(absent)}; columns are {self._columns}"
            raise self.refused(found, f"columns {', '.join(columns)}")

    def check(self, column: str, good: ArrayLike, wanted: str, named_by: str) -> None:
        """Raise InputError for the first row that is not ``good``.

        Parameters
        ----------
        column
            Where the offending values are.
        good
            bool, one for each row.
        wanted
            What would have been accepted.
        named_by
            The column whose value tells the user which row it is.
        """
        bad = np.flatnonzero(~np.asarray(good, bool))
        if bad.size:
            first = int(bad[0])
            value, name = self.rows[column].iloc[first], self.rows[named_by].iloc[first]
            found = f"{column} {value!r} in row {first + 1} ({named_by} {name!r})"
            raise self.refused(f"{found}; such rows: {bad.size}", wanted)

    def check_ids(self, ids: pd.Series, column: str) -> None:
        """Raise InputError for empty or repeated image ids, which were derived from ``column``."""
        self.check(column, ids != "", "a name in every row", column)
        twice = ids[ids.duplicated()].drop_duplicates()
        if len(twice):
            rows = np.flatnonzero(ids == twice.iloc[0])[:NAMED]
            numbers, names = ", ".join(map(str, rows + 1)), ", ".join(self.rows[column].iloc[rows])
            found = f"{len(twice)} image_id in several rows: {first_names(list(twice))}"
            where = f"{twice.iloc[0]} in rows {numbers}: {names}"
            raise self.refused(f"{found} ({where})", "one row for every image_id")


def first_names(names: list[str], at_most: int = NAMED, separator: str = ", ") -> str:
    """List the first names; dots stand for the others."""
    more = ["..."] if len(names) > at_most else []
    return separator.join([*names[:at_most], *more])


def read_csv(path: Path, next_step: str, *, tabs: bool = False) -> TextTable:
    """Read CSV in UTF-8; no cell is a missing value, not even ``NA``.

    Parameters
    ----------
    tabs
        Whether tabs separate the cells if there is one in the header.

    Raises InputError if the file cannot be read as such a table, or has no rows.
    """
    table = TextTable(path, next_step)
    try:
        with path.open("rb") as stream:
            separator = "\t" if tabs and b"\t" in stream.readline() else ","
        rows = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",  # spreadsheets write a byte-order mark
            compression=None,
        )
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise table.refused(f"no readable table ({error})", "a UTF-8 CSV") from error
    # pandas makes an index of the first column where rows have a cell too many.
    if not isinstance(rows.index, pd.RangeIndex):
        raise table.refused("rows with more cells than the header", "one cell for each column")
    return table.holding(rows)
