"""The split table and the record beside it: written by `prepare`, read by `train`."""

import json
from pathlib import Path

import pandas as pd

from hambatch.engines.classes import CLASSES, SPLITS
from hambatch.errors import InputError

COLUMNS = (
    "image_id",
    "lesion_id",
    "dx",
    "dx_type",
    "age",
    "sex",
    "localization",
    "file",
    "sha256",
    "split",
)


def record_path(split_path: Path) -> Path:
    """Where the record of a split table lies: ``split.csv.json``."""
    return split_path.with_name(split_path.name + ".json")


def read_split(path: Path) -> pd.DataFrame:
    """Read and check a split table; leaks are for ``check_leaks`` to find.

    Returns
    -------
    The columns ``COLUMNS``, all text, one row an image, in file order; an
    unknown age is an empty string.

    Raises
    ------
    InputError
        If the file is no such table, or a value is not what `prepare` writes.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise _refused(path, f"no readable table ({error})", "a split table") from error
    absent = [column for column in COLUMNS if column not in table.columns]
    if absent:
        raise _refused(path, f"no column {', '.join(absent)}", f"columns {', '.join(COLUMNS)}")
    table = table[list(COLUMNS)]
    if table.empty:
        raise _refused(path, "no rows", "one row an image")
    inside = ~table["file"].str.contains(r"^/|^$|\\|(?:^|/)\.\.(?:/|$)", regex=True)
    _check(path, table, "image_id", table["image_id"] != "", "an id")
    _check(path, table, "image_id", ~table["image_id"].duplicated(), "each image once")
    _check(path, table, "lesion_id", table["lesion_id"] != "", "an id")
    _check(path, table, "dx", table["dx"].isin(CLASSES), f"one of {' '.join(CLASSES)}")
    _check(path, table, "split", table["split"].isin(SPLITS), f"one of {' '.join(SPLITS)}")
    _check(path, table, "file", inside, "a path below the dataset's folder")
    hexadecimal = table["sha256"].str.fullmatch("[0-9a-f]{64}")
    _check(path, table, "sha256", hexadecimal, "64 lowercase hexadecimal digits")
    return table


def dataset_root(split_path: Path) -> Path:
    """Return the dataset's folder, to which the ``file`` column is relative.

    It is read from the record beside the split table.

    Raises
    ------
    InputError
        If the record is absent or unreadable, or its folder is not there.
    """
    record = record_path(split_path)
    try:
        root = Path(json.loads(record.read_text(encoding="utf-8"))["root"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"no record with a dataset root ({type(error).__name__}: {error})"
        raise _refused(record, found, "the record that prepare writes") from error
    if not root.is_dir():
        raise _refused(record, f"root {root}, which is not there", "the folder with the images")
    return root


def _check(path: Path, table: pd.DataFrame, column: str, good: pd.Series, wanted: str) -> None:
    bad = table[column][~good.astype(bool)]
    if len(bad):
        line = int(bad.index[0]) + 2
        found = f"{column} {bad.iloc[0]!r} in line {line} ({len(bad)} such rows)"
        raise _refused(path, found, wanted)


def _refused(path: Path, found: str, wanted: str) -> InputError:
    return InputError(
        f"{path}: found {found}; wanted {wanted}.\n"
        "Next: hambatch prepare HAM10000_DIR --out split.csv"
    )
