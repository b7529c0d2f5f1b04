"""Tables whose cells are all text until they are checked; a refusal names file, row and value."""

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hambatch.errors import InputError
from hambatch.system.delimited import Layout, NotDelimited, open_delimited, width_of
from hambatch.system.text import (
    COLUMNS_NAMED,
    NAMED,
    excerpt,
    first_names,
    loose_name,
    problem_with_cell,
)

MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "#n/a", "null", "none", "unknown"})
"""What programs write, in any case, for a value that is not known."""

_DECIMAL_COMMA = re.compile(r"^([-+]?[0-9]+),([0-9]+)$", re.ASCII)


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
    numbers
        int64, one for each of ``rows``: which row of the file it is, from 1 below the header.
        Empty rows are not in ``rows``.
    decimal_comma
        Whether ``0,5`` is a number, as where semicolons separate the cells.
    """

    path: Path
    next_step: str
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    numbers: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    decimal_comma: bool = False

    def holding(self, rows: pd.DataFrame, columns: Iterable[str] = ()) -> "TextTable":
        """Give the table with these rows, without empty ones.

        Each of ``columns`` is known by its name, or by the one column whose name differs only
        in case and spaces; columns without a name are left out. Raises InputError if there are
        no rows, or a column stands there twice.
        """
        names = self._names(list(map(str, rows.columns)), tuple(columns))
        kept = [k for k, name in enumerate(names) if name]
        rows = (rows if len(kept) == len(names) else rows.iloc[:, kept]).fillna("")
        rows = rows.set_axis([names[k] for k in kept], axis=1)
        numbers = np.flatnonzero(~_empty(rows)) + 1
        if not numbers.size:
            raise self.refused("no rows", "one row an image")
        if numbers.size < len(rows):
            rows = rows.iloc[numbers - 1].reset_index(drop=True)
        return replace(self, rows=rows, numbers=numbers)

    def _names(self, found: list[str], wanted: tuple[str, ...]) -> list[str]:
        """Name the columns; empty for those that are left out."""
        exact, loose = _places(found), _places(map(loose_name, found), leave=_at(found, wanted))
        names = ["" for _ in found]
        for name, places in exact.items():
            names[places[0]] = name
        for column in wanted:
            places = exact.get(column) or loose.get(loose_name(column), [])
            if len(places) > 1:
                which = " and ".join(
                    f"{excerpt(repr(found[k]))} (column {k + 1})" for k in places[:NAMED]
                )
                found_text = f"{len(places)} columns {column}: {which}"
                raise self.refused(found_text, "every column once")
            for place in places:
                names[place] = column
        return names

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
        return first_names(list(map(str, self.rows.columns)), COLUMNS_NAMED)

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
            shown, named = excerpt(repr(value)), excerpt(repr(name))
            found = f"{column} {shown} in row {self.numbers[first]} ({named_by} {named})"
            raise self.refused(f"{found}; such rows: {bad.size}", wanted)

    def check_cells(self, columns: Iterable[str], named_by: str) -> None:
        """Raise InputError for a cell that would be a formula, or leave its row, in our tables.

        What `score` writes of such a name is percent-encoded; what is written as it stands has to
        be free of it.
        """
        for column in columns:
            problems = self.rows[column].map(problem_with_cell)
            wanted = "cells that are no formula to a spreadsheet, and without control characters"
            self.check(column, problems == "", wanted, named_by)

    def numbers_in(self, column: str) -> NDArray[np.float64]:
        """Parse a column: float64, NaN for what is no number."""
        found = pd.to_numeric(self.rows[column], errors="coerce").to_numpy(np.float64)
        if self.decimal_comma and np.isnan(found).any():
            text = self._with_points(self.rows[column].str.strip())
            found = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
        return found

    def known_in(self, column: str) -> pd.Series:
        """Give a column without spaces around its cells, and empty where a value is missing."""
        text = known(self.rows[column])
        return self._with_points(text) if self.decimal_comma else text

    @staticmethod
    def _with_points(text: pd.Series) -> pd.Series:
        return text.str.replace(_DECIMAL_COMMA, r"\1.\2", regex=True)

    def check_ids(self, ids: pd.Series, column: str) -> None:
        """Raise InputError for empty or repeated image ids, which were derived from ``column``."""
        self.check(column, ids != "", "a name in every row", column)
        twice = ids[ids.duplicated()].drop_duplicates()
        if len(twice):
            rows = np.flatnonzero(ids == twice.iloc[0])[:NAMED]
            numbers, names = (
                ", ".join(map(str, self.numbers[rows])),
                first_names(list(self.rows[column].iloc[rows])),
            )
            found = f"{len(twice)} image_id in several rows: {first_names(list(twice))}"
            where = f"{excerpt(twice.iloc[0])} in rows {numbers}: {names}"
            raise self.refused(f"{found} ({where})", "one row for every image_id")


def known(values: pd.Series) -> pd.Series:
    """Give text without spaces around it; what stands for a missing value becomes empty."""
    stripped = values.str.strip()
    return stripped.mask(stripped.str.lower().isin(MISSING), "")


def read_csv(path: Path, next_step: str, columns: Iterable[str] = ()) -> TextTable:
    """Read delimited text; no cell is a missing value, not even ``NA``.

    Comma, semicolon or tab, UTF-8 or UTF-16, with what spreadsheets leave: see
    :func:`~hambatch.system.delimited.open_delimited`.

    Parameters
    ----------
    columns
        The names that the caller knows: see :meth:`TextTable.holding`.

    Raises InputError if the file cannot be read as such a table, or has no rows.
    """
    table = TextTable(path, next_step)
    try:
        layout, rows = _read(path)
    except NotDelimited as error:
        raise table.refused(f"no readable table: {error.found}", error.wanted) from error
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        why = getattr(error, "strerror", None) or error
        raise table.refused(f"no readable table ({why})", "a table of text") from error
    return replace(table, decimal_comma=layout.decimal_comma).holding(rows, columns)


def _read(path: Path) -> tuple[Layout, pd.DataFrame]:
    try:
        layout, rows = _parsed(path)
        # pandas makes an index of the first column where the first row has a cell too many.
        regular = isinstance(rows.index, pd.RangeIndex)
    except pd.errors.ParserError:
        regular = False
    if not regular:
        layout, rows = _parsed(path, width_of(path))
    return layout, rows


def _parsed(path: Path, width: int = 0) -> tuple[Layout, pd.DataFrame]:
    """Read all rows; cells beyond the header, up to ``width``, become columns without a name."""
    with open_delimited(path) as (stream, layout):
        names = layout.header + [""] * (width - len(layout.header))
        rows = pd.read_csv(
            stream,
            sep=layout.delimiter,
            header=None,
            names=range(len(names)),
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,  # they count in the number of a row
        )
    return layout, rows.set_axis(names, axis=1)


def _empty(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Find rows without a value: bool ``[n]``."""
    empty = np.ones(len(rows), bool)
    for k in range(rows.shape[1]):
        at = np.flatnonzero(empty)
        if not at.size:
            break
        empty[at] = (rows.iloc[at, k].str.strip() == "").to_numpy()
    return empty


def _places(names: Iterable[str], leave: Container[int] = ()) -> dict[str, list[int]]:
    """List where each name stands."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        if place not in leave:
            places.setdefault(name, []).append(place)
    return places


def _at(names: Sequence[str], wanted: Iterable[str]) -> set[int]:
    exact = set(wanted)
    return {place for place, name in enumerate(names) if name in exact}
