"""The predictions that `evaluate` reads; every cell of a table is text until it is checked."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES, ISIC_COLUMNS
from hambatch.evaluation.sample import p_malignant_of
from hambatch.sinks.columns import PROBABILITIES
from hambatch.sinks.formats import format_of, read_records
from hambatch.system.text import canonical_id, decode_name, image_id_of
from hambatch.system.text_table import TextTable, read_csv

P_COLUMNS = PROBABILITIES

P_MALIGNANT = "p_malignant"

ROUNDING = 2.1e-6
"""A sum of three numbers of six decimals, and the sum that was rounded itself, differ by 2e-6."""

LESION = "lesion_id"

ROWS_AT_ONCE = 10_000


def read_text_table(path: Path, next_step: str, columns: Iterable[str] = ()) -> TextTable:
    """Read delimited text, or by its suffix Parquet, JSON lines or Excel; null is an empty cell.

    ``columns`` are the names that the caller knows: see :meth:`TextTable.holding`.

    Raises
    ------
    InputError
        If the file cannot be read as such a table, or has no rows.
    MissingDependency
        If it is Parquet or Excel, and pyarrow or openpyxl is not installed.
    """
    kind = format_of(path)
    if kind in ("csv", "tsv"):
        return read_csv(path, next_step, columns)
    texts = (
        {name: "" if value is None else str(value) for name, value in record.items()}
        for record in read_records(path, kind, next_step)
    )
    # Python's objects take ten times the memory of a pandas column: few at a time.
    chunks = iter(lambda: list(islice(texts, ROWS_AT_ONCE)), [])
    frames = [pd.DataFrame(chunk, dtype=str) for chunk in chunks]
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return TextTable(path, next_step).holding(rows, columns)


NEXT_PREDICTIONS = (
    "hambatch score IMAGES --out preds.csv, then hambatch evaluate preds.csv --truth labels.csv"
)


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
    (text), the seven ``P_COLUMNS`` (float64, 0 to 1; 0 in a failed row), ``p_malignant`` as
    :func:`_malignant` gives it, ``sha256`` of the image's bytes (empty where the table does not
    say) and ``image`` as it stands there; and ``lesion_id``, decoded, if the table has it, as
    from a manifest. One row an image, in file order; several may have one ``image_id``.

    Raises InputError if the file is no such table, an image_id is empty, or a row that
    is ``ok`` has no known prediction or no valid probabilities.
    """
    columns = ("image", "status", "prediction", *P_COLUMNS, P_MALIGNANT, "sha256", *ISIC_COLUMNS)
    table = read_text_table(path, NEXT_PREDICTIONS, columns)
    rows = table.rows
    if table.has(["image", "status", "prediction", *P_COLUMNS]):
        columns, ids = P_COLUMNS, rows["image"].map(image_id_of)
        table.check("status", rows["status"].isin(["ok", "failed"]), "ok or failed", "image")
        failed = (rows["status"] == "failed").to_numpy()
        known = rows["prediction"].isin(CLASSES).to_numpy()
        table.check("prediction", known | failed, f"one of {' '.join(CLASSES)}", "image")
        prediction, hashes = rows["prediction"], rows.get("sha256", "")
    elif table.has(["image", *ISIC_COLUMNS]):
        columns = tuple(name.upper() for name in CLASSES)
        # An id already: a point in it starts no suffix. `score` percent-encodes it.
        ids = rows["image"].map(lambda image: canonical_id(decode_name(image)))
        failed = (rows[list(ISIC_COLUMNS)] == "").all(axis=1).to_numpy()
        prediction, hashes = None, ""
    else:
        wanted = f"image, status, prediction, {', '.join(P_COLUMNS)}"
        raise table.columns_refused(f"{wanted}, or image, {', '.join(ISIC_COLUMNS)}")
    table.check("image", ids != "", "a name in every row", "image")
    probabilities = _probabilities(table, columns, failed)
    if prediction is None:
        prediction = _classes_at(probabilities.argmax(axis=1))
    lesions = {LESION: table.known_in(LESION).map(decode_name)} if table.has([LESION]) else {}
    return pd.DataFrame(
        {
            "image_id": ids,
            "status": np.where(failed, "failed", "ok"),
            "prediction": prediction,
            **dict(zip(P_COLUMNS, probabilities.T, strict=True)),
            P_MALIGNANT: _malignant(table, probabilities),
            "sha256": hashes,
            "image": rows["image"],
            **lesions,
        }
    )


def _probabilities(
    table: TextTable, columns: Sequence[str], failed: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Parse float64 ``[n, 7]`` in the order of the classes; failed rows are 0."""
    values = np.zeros((len(table.rows), len(columns)))
    for k, column in enumerate(columns):
        numbers = table.numbers_in(column)
        valid = (numbers >= 0) & (numbers <= 1)
        table.check(column, valid | failed, "a probability, 0 to 1", "image")
        values[:, k] = np.where(failed, 0.0, numbers)
    return values


def _malignant(table: TextTable, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give float64 ``[n]``: the table's own column, where it is the sum of akiec, bcc and mel.

    `score` rounds that sum once, not each of the three: a threshold is compared with the column.
    Where the column is missing, or is something else, it is the sum.
    """
    total = p_malignant_of(probabilities)
    if not table.has([P_MALIGNANT]):
        return total
    own = table.numbers_in(P_MALIGNANT)
    return np.where(np.abs(own - total) <= ROUNDING, own, total)


def _classes_at(positions: NDArray[np.int64]) -> pd.Series:
    return pd.Series(np.array(CLASSES, dtype=object)[positions], dtype=str)
