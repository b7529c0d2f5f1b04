"""Tables as pandas has them: numbers float64, everything else text."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hambatch.api.options import StrPath
from hambatch.engines.classes import COLUMNS, NUMBERS
from hambatch.sinks.columns import Record, carried_names, record_of
from hambatch.sinks.formats import format_of, read_rows
from hambatch.sinks.publish import carried_columns

if TYPE_CHECKING:
    from pandas import DataFrame

ROWS_AT_ONCE = 16_384
"""Rows that are laid out as Python's objects at a time: as columns they take a tenth."""


def read_table(path: StrPath, *, format: str = "auto") -> "DataFrame":
    """Read a table that hambatch wrote: CSV, TSV, Parquet, JSON lines, a spreadsheet.

    Parameters
    ----------
    path
        Its suffix says the format, unless ``format`` does: ``csv``, ``tsv``, ``parquet``, ...

    Returns
    -------
    The columns of the table, in its order, with those that it carries from a manifest; columns
    that somebody added later are left out. ``confidence`` and all ``p_`` are float64, NaN in a
    failed row. All others are ``str``, and NaN where the table has nothing. Names are encoded as in
    the table, so that they fit those that every other program reads there.

    Raises
    ------
    InputError
        If it is no table that hambatch wrote, or somebody changed what a row says; the message
        names file, row and column.
    MissingDependency
        If the format needs a package that is not installed.
    """
    place = Path(path)
    kind = format_of(place, format)
    carried = carried_columns(place, kind)
    names = carried_names(carried)
    return frame_of((record_of(row, names) for row in read_rows(place, kind, carried)), names)


def frame_of(records: Iterable[Record], carried: Sequence[str] = ()) -> "DataFrame":
    """Make a DataFrame of records of :func:`hambatch.sinks.columns.record_of`.

    ``carried`` names their columns after ours, encoded.
    """
    import pandas

    waiting = iter(records)
    parts = [_part((), carried)]
    while some := tuple(islice(waiting, ROWS_AT_ONCE)):
        parts.append(_part(some, carried))
    return parts[-1] if len(parts) <= 2 else pandas.concat(parts[1:], ignore_index=True)


def _part(records: Sequence[Record], carried: Sequence[str]) -> "DataFrame":
    import pandas

    return pandas.DataFrame(
        {
            name: pandas.Series(
                [record[name] for record in records], dtype="float64" if name in NUMBERS else "str"
            )
            for name in (*COLUMNS, *carried)
        }
    )
