"""The metadata table as Kaggle (comma) and Harvard Dataverse (comma or tab) publish it."""

from pathlib import Path

import pandas as pd

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.system.text import canonical_id
from hambatch.system.text_table import known, read_csv

NAMES = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")

COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def find_metadata(root: Path) -> Path:
    """Return the metadata file of a download, the first of ``NAMES`` that lies in ``root``.

    Raises InputError if ``root`` is no folder or holds none of them.
    """
    for name in NAMES:
        if (root / name).is_file():
            return root / name
    found = "no such file in it" if root.is_dir() else "no such folder"
    raise InputError(
        f"no HAM10000 metadata in {root}: {found}; wanted one of {', '.join(NAMES)}.\n"
        "Next: download HAM10000 (doi:10.7910/DVN/DBW86T), then "
        "hambatch prepare HAM10000_DIR --out split.csv"
    )


NEXT = (
    "restore the file from doi:10.7910/DVN/DBW86T, then "
    "hambatch prepare HAM10000_DIR --out split.csv"
)


def read_metadata(path: Path) -> pd.DataFrame:
    """Read and check the metadata; every value but a missing age stays as published.

    Returns
    -------
    The columns ``COLUMNS``, all text, one row an image, in file order; an
    unknown age is an empty string.

    Raises InputError if the file is no such table, a column or an id is missing, a ``dx`` is
    unknown, an image is listed twice, a lesion has several ``dx``, or a cell would be a formula in
    the split table.
    """
    table = read_csv(path, NEXT, COLUMNS)
    table.check_columns(COLUMNS)
    rows = pd.DataFrame({column: table.rows[column].str.strip() for column in COLUMNS})
    rows["age"] = table.known_in("age")
    table.check_ids(rows["image_id"].map(canonical_id), "image_id")
    table.check("lesion_id", known(rows["lesion_id"]) != "", "an id in every row", "image_id")
    table.check("dx", rows["dx"].isin(CLASSES), f"one of {' '.join(CLASSES)}", "image_id")
    table.check_cells(COLUMNS, "image_id")
    classes = rows.groupby("lesion_id")["dx"].unique()
    several = classes[classes.map(len) > 1]
    if len(several):
        found = f"lesion {several.index[0]} is {' and '.join(sorted(several.iloc[0]))}"
        raise table.refused(f"{found} ({len(several)} such lesions)", "one dx, as published")
    return rows
