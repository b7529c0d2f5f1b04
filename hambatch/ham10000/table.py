"""The split table and the record beside it: written by `prepare`, read by `train`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from hambatch.engines.classes import CLASSES, PARTS
from hambatch.errors import InputError
from hambatch.ham10000.options import PrepareOptions
from hambatch.system.files import companion
from hambatch.system.schema import read_json_file
from hambatch.system.text import canonical_id, excerpt, problem_with_cell
from hambatch.system.text_table import known, read_csv

COLUMNS = (
    *("image_id", "lesion_id", "dx", "dx_type", "age", "sex", "localization"),
    *("file", "sha256", "split"),
)

NEXT = "hambatch prepare HAM10000_DIR --out split.csv"


def read_split(path: Path) -> pd.DataFrame:
    """Read and check a split table; leaks are for ``check_leaks`` to find.

    Returns
    -------
    The columns ``COLUMNS``, all text, one row an image, in file order; an
    unknown age is an empty string.

    Raises InputError if the file is no such table, or a value is not what `prepare` writes.
    """
    table = read_csv(path, NEXT, COLUMNS)
    table.check_columns(COLUMNS)
    rows = table.rows[list(COLUMNS)]
    table.check_ids(rows["image_id"].map(canonical_id), "image_id")
    for column, good, wanted in (
        ("lesion_id", known(rows["lesion_id"]) != "", "an id"),
        ("dx", rows["dx"].isin(CLASSES), f"one of {' '.join(CLASSES)}"),
        ("split", rows["split"].isin(PARTS), f"one of {' '.join(PARTS)}"),
        (
            "file",
            ~rows["file"].str.contains(r"\0|^/|^$|\\|(?:^|/)\.\.(?:/|$)", regex=True),
            "a path below the dataset's folder",
        ),
        (
            "sha256",
            rows["sha256"].str.fullmatch("[0-9a-f]{64}"),
            "64 lowercase hexadecimal digits",
        ),
    ):
        table.check(column, good, wanted, "image_id")
    return rows


def refuse_formulas(table: pd.DataFrame) -> None:
    """Raise InputError if an id of a split table would be a formula in a table that is written.

    `prepare` writes no such split table; one of another origin may be read, and is not copied.
    """
    for column in ("image_id", "lesion_id"):
        for text in table[column]:
            if problem := problem_with_cell(text):
                raise InputError(
                    f"the split table has {column} {excerpt(repr(text))} with {problem}; "
                    f"wanted ids that a table can hold as they stand.\nNext: {NEXT}"
                )


def files_of(table: pd.DataFrame, root: Path) -> dict[str, Path]:
    """Path of every image by the sha256 of its bytes."""
    return {
        digest: root / name for digest, name in zip(table["sha256"], table["file"], strict=True)
    }


@dataclass(frozen=True)
class _Record:
    """What is read of the record: the dataset's folder, and the options of `prepare`."""

    root: str
    val_fraction: float | None = None
    test_fraction: float | None = None
    gate_fraction: float | None = None
    certify_fraction: float | None = None
    seed: int | None = None


def record_path(split_path: Path) -> Path:
    """Where the record of a split table lies: ``split.csv.json``; of a link, beside its file."""
    return companion(split_path, ".json")


def prepared_with(split_path: Path) -> dict[str, float]:
    """Give the options of `prepare` that the record names; none of a table of another origin."""
    try:
        record = read_json_file(record_path(split_path), _Record)
    except (OSError, ValueError):
        return {}
    options = asdict(record)
    return {name: options[name] for name in asdict(PrepareOptions()) if options[name] is not None}


def command_for(prepared: Mapping[str, float]) -> str:
    """Give the command that makes a table that was prepared with these options."""
    defaults = asdict(PrepareOptions())
    others = [
        f" --{name.replace('_', '-')} {value:g}"
        for name, value in prepared.items()
        if value != defaults[name]
    ]
    return NEXT + "".join(others)


def dataset_root(split_path: Path) -> Path:
    """Return the dataset's folder, to which ``file`` is relative, as the record has it.

    Raises InputError if the record is absent or unreadable, or its folder is not there.
    """
    record = record_path(split_path)
    try:
        root = Path(read_json_file(record, _Record).root)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        found, wanted = f"no record with a dataset root ({why})", "the record that prepare writes"
        raise _refused(record, found, wanted) from error
    if not root.is_dir():
        raise _refused(record, f"root {root}, which is not there", "the folder with the images")
    return root


def _refused(path: Path, found: str, wanted: str) -> InputError:
    return InputError(f"{path}: found {found}; wanted {wanted}.\nNext: {NEXT}")
