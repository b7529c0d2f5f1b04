"""The tables that `evaluate` reads: predictions and truth, every cell text until it is checked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES, ISIC_COLUMNS
from hambatch.errors import InputError
from hambatch.sinks.columns import PROBABILITIES, Value
from hambatch.sinks.formats import format_of, read_records
from hambatch.system.text import canonical_id, decode_name, image_id_of

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


NEXT_PREDICTIONS = (
    "hambatch score IMAGES --out preds.csv, then hambatch evaluate preds.csv --truth labels.csv"
)


P_COLUMNS = PROBABILITIES


def read_predictions(path: Path) -> pd.DataFrame:
    """Read and check predictions.

    Parameters
    ----------
    path
        CSV, Parquet or JSON lines of `hambatch score`, by the suffix, with these
        columns at least; or a submission to ISIC 2018 Task 3 (``image`` and seven
        probabilities; the greatest is the prediction, the first of equals in the
        order of the classes; a row without any failed).

    Returns
    -------
    The columns ``image_id``, ``status`` (``ok`` or ``failed``), ``prediction``
    (text), the seven ``P_COLUMNS`` (float64, 0 to 1; the values of a failed row
    mean nothing) and ``sha256`` of the image's bytes (empty where the table does
    not say). One row an image, in file order.

    Raises
    ------
    InputError
        If the file is no such table, an image_id is empty or repeated, or a
        row that is ``ok`` has no known prediction or no valid probabilities.
    """
    table = read_text_table(path, NEXT_PREDICTIONS)
    if table.has(["image", "status", "prediction", *P_COLUMNS]):
        return _from_score(table)
    if table.has(["image", *ISIC_COLUMNS]):
        return _from_isic(table)
    raise table.columns_refused(
        f"image, status, prediction, {', '.join(P_COLUMNS)}, or image, {', '.join(ISIC_COLUMNS)}"
    )


def _from_score(table: TextTable) -> pd.DataFrame:
    rows = table.rows
    ids = rows["image"].map(image_id_of)
    table.check_ids(ids, "image")
    known = rows["status"].isin(["ok", "failed"]).to_numpy()
    table.check("status", known, "ok or failed", "image")
    failed = (rows["status"] == "failed").to_numpy()
    predicted = rows["prediction"].isin(CLASSES).to_numpy()
    table.check("prediction", predicted | failed, f"one of {' '.join(CLASSES)}", "image")
    probabilities = _probabilities(table, P_COLUMNS, failed)
    hashes = rows["sha256"] if table.has(["sha256"]) else ""
    return _table(ids, failed, rows["prediction"], probabilities).assign(sha256=hashes)


def _from_isic(table: TextTable) -> pd.DataFrame:
    rows = table.rows
    # An id already: a point in it starts no suffix. It is percent-encoded, if `score` wrote it.
    ids = rows["image"].map(lambda image: canonical_id(decode_name(image)))
    table.check_ids(ids, "image")
    failed = (rows[list(ISIC_COLUMNS)] == "").all(axis=1).to_numpy()
    probabilities = _probabilities(table, [name.upper() for name in CLASSES], failed)
    prediction = np.array(CLASSES, dtype=object)[probabilities.argmax(axis=1)]
    return _table(ids, failed, pd.Series(prediction, dtype=str), probabilities).assign(sha256="")


def _probabilities(
    table: TextTable, columns: Sequence[str], failed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Parse float64 ``[n, 7]`` in the order of the classes; failed rows are 0."""
    values = np.zeros((len(table.rows), len(columns)))
    for k, column in enumerate(columns):
        numbers = pd.to_numeric(table.rows[column], errors="coerce").to_numpy(np.float64)
        valid = (numbers >= 0) & (numbers <= 1)
        table.check(column, valid | failed, "a probability, 0 to 1", "image")
        values[:, k] = np.where(failed, 0.0, numbers)
    return values


def _table(
    ids: pd.Series,
    failed: NDArray[np.bool_],
    prediction: pd.Series,
    probabilities: NDArray[np.float64],
) -> pd.DataFrame:
    table = pd.DataFrame(probabilities, columns=list(P_COLUMNS))
    status = np.where(failed, "failed", "ok")
    table.insert(0, "image_id", ids)
    table.insert(1, "status", status)
    table.insert(2, "prediction", prediction)
    return table


PATIENT_COLUMNS = ("age", "sex", "localization", "dx_type")
"""What HAM10000's metadata say of a lesion, for figures of subgroups."""


NEXT_TRUTH = (
    "give --truth a table with columns image_id and dx, such as the split.csv of "
    "hambatch prepare HAM10000_DIR --out split.csv"
)


def read_truth(path: Path, split: str | None = None) -> pd.DataFrame:
    """Read and check the truth.

    Parameters
    ----------
    path
        CSV with the columns ``image_id`` and ``dx`` (any others may follow), or
        ``image`` and the seven ISIC columns, exactly one of them 1 in a row.
    split
        Keep only the rows with this value in their ``split`` column.

    Returns
    -------
    The text columns ``image_id`` and ``dx``, and ``lesion_id`` and those of
    ``PATIENT_COLUMNS`` where they are known; one row an image, in file order.

    Raises
    ------
    InputError
        If the file is no such table, an image_id is empty or repeated, a
        diagnosis is unknown, or the split does not exist.
    """
    table = read_text_table(path, NEXT_TRUTH)
    if table.has(["image_id", "dx"]):
        column, dx = "image_id", table.rows["dx"].str.strip()
        table.check("dx", dx.isin(CLASSES).to_numpy(), f"one of {' '.join(CLASSES)}", column)
    elif table.has(["image", *ISIC_COLUMNS]):
        column, dx = "image", _from_one_hot(table)
    else:
        raise table.columns_refused(f"image_id and dx, or image and {' '.join(ISIC_COLUMNS)}")
    ids = table.rows[column].str.strip().map(canonical_id)
    table.check_ids(ids, column)
    truth = pd.DataFrame({"image_id": ids, "dx": dx})
    for name in ("lesion_id", *PATIENT_COLUMNS):
        if table.has([name]):
            truth[name] = table.rows[name].str.strip()
    return truth if split is None else truth[_in_split(table, split)].reset_index(drop=True)


def _from_one_hot(table: TextTable) -> pd.Series:
    values = np.stack(
        [pd.to_numeric(table.rows[name.upper()], errors="coerce").to_numpy() for name in CLASSES],
        axis=1,
    )
    one_hot = np.isin(values, (0, 1)).all(axis=1) & (values.sum(axis=1) == 1)
    table.check("image", one_hot, f"a 1 in one of {' '.join(ISIC_COLUMNS)}, 0 elsewhere", "image")
    return pd.Series(np.array(CLASSES, dtype=object)[values.argmax(axis=1)], dtype=str)


def _in_split(table: TextTable, split: str) -> pd.Series:
    if not table.has(["split"]):
        raise table.columns_refused(f"a column split, for --split {split}")
    chosen = table.rows["split"] == split
    if not chosen.any():
        found = ", ".join(sorted(table.rows["split"].unique()))
        raise table.refused(f"splits {found}", f"rows of --split {split}")
    return chosen
