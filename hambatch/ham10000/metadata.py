"""The metadata table as Kaggle (comma) and Harvard Dataverse (comma or tab) publish it."""

from pathlib import Path

import pandas as pd

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError

NAMES = ("HAM10000_metadata.csv", "HAM10000_metadata", "HAM10000_metadata.tab")


COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


def find_metadata(root: Path) -> Path:
    """Return the metadata file of a download, the first of ``NAMES`` that lies in ``root``.

    Raises
    ------
    InputError
        If ``root`` is no folder or holds none of them.
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


def read_metadata(path: Path) -> pd.DataFrame:
    """Read and check the metadata; every value stays the text that was published.

    Returns
    -------
    The columns ``COLUMNS``, all text, one row an image, in file order; an
    unknown age is an empty string.

    Raises
    ------
    InputError
        If the file is no such table, a column or an id is missing, a ``dx`` is
        unknown, an image is listed twice, or a lesion has several ``dx``.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            separator = "\t" if "\t" in stream.readline() else ","
        table = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise _refused(path, f"not a readable table ({error})", "the published table") from error
    absent = [column for column in COLUMNS if column not in table.columns]
    if absent:
        found = f"no column {', '.join(absent)}; columns are {', '.join(map(str, table.columns))}"
        raise _refused(path, found, f"columns {', '.join(COLUMNS)}")
    table = pd.DataFrame({column: table[column].fillna("").str.strip() for column in COLUMNS})
    _check_values(path, table)
    return table


def _check_values(path: Path, table: pd.DataFrame) -> None:
    if table.empty:
        raise _refused(path, "no rows", "one row an image")
    for column in ("lesion_id", "image_id"):
        if (table[column] == "").any():
            line = int((table[column] == "").to_numpy().argmax()) + 2
            raise _refused(path, f"an empty {column} in line {line}", "an id in every row")
    unknown = table[~table["dx"].isin(CLASSES)]
    if len(unknown):
        first = unknown.iloc[0]
        found = f"dx {first['dx']!r} for {first['image_id']} ({len(unknown)} such rows)"
        raise _refused(path, found, f"one of {' '.join(CLASSES)}")
    twice = table["image_id"][table["image_id"].duplicated()]
    if len(twice):
        raise _refused(path, f"{len(twice)} images listed twice, {twice.iloc[0]}", "one row each")
    classes = table.groupby("lesion_id")["dx"].agg(lambda dx: " and ".join(sorted(set(dx))))
    several = classes[classes.str.contains(" ")]
    if len(several):
        found = f"lesion {several.index[0]} is {several.iloc[0]} ({len(several)} such lesions)"
        raise _refused(path, found, "one dx a lesion, as published")


def _refused(path: Path, found: str, wanted: str) -> InputError:
    return InputError(
        f"{path}: found {found}; wanted {wanted}.\n"
        "Next: restore the file from doi:10.7910/DVN/DBW86T, then "
        "hambatch prepare HAM10000_DIR --out split.csv"
    )
