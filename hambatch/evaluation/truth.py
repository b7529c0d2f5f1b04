"""The truth: a table of diagnoses, or the one-hot ground truth of ISIC 2018 Task 3."""

from pathlib import Path

import numpy as np
import pandas as pd

from hambatch.evaluation.image_ids import canonical_id
from hambatch.evaluation.text_table import TextTable, read_text_table
from hambatch.labels import CLASSES, ISIC_COLUMNS

PATIENT_COLUMNS = ("age", "sex", "localization", "dx_type")
"""What HAM10000's metadata say of a lesion, for figures of subgroups."""

NEXT = (
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
    table = read_text_table(path, NEXT)
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
