"""The predictions: the table that `score` writes, in any of its formats."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.evaluation.image_ids import canonical_id, image_id_of
from hambatch.evaluation.text_table import TextTable, read_text_table
from hambatch.labels import CLASSES, ISIC_COLUMNS
from hambatch.names import decode_name
from hambatch.tables.columns import PROBABILITIES

NEXT = "hambatch score IMAGES --out preds.csv, then hambatch evaluate preds.csv --truth labels.csv"

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
    table = read_text_table(path, NEXT)
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
