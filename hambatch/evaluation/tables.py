"""Predictions and truth, read from the tables that people have."""

from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from hambatch.errors import InputError
from hambatch.labels import CLASSES, ISIC_COLUMNS

ISIC_CLASSES = [name.lower() for name in ISIC_COLUMNS]
PROBABILITY_COLUMNS = [f"p_{name}" for name in CLASSES]


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a CSV with every cell as text; an image may be called ``NA``.

    Raises
    ------
    InputError
        If it cannot be read as a table.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}.\nNext: name an existing CSV file"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path} is not a CSV table in UTF-8 ({error}).\nNext: name a CSV file"
        ) from error


def read_truth(path: Path, split: str | None = None) -> pd.DataFrame:
    """Read labels: columns ``image_id``, ``dx``, and ``lesion_id`` if the table has it.

    Parameters
    ----------
    split
        Keep only rows whose ``split`` column has this value.

    Raises
    ------
    InputError
        If columns are missing, a class is unknown, an image stands twice, or
        nothing is left.
    """
    table = read_text_table(path)
    if split is not None:
        found = sorted(set(table["split"])) if "split" in table else []
        if split not in found:
            raise InputError(
                f"{path} has no rows of the split {split!r}; its splits are: "
                f"{', '.join(found) or 'none'}.\nNext: name one of them, or leave --split out"
            )
        table = table[table["split"] == split]
    if {"image", *ISIC_COLUMNS} <= set(table.columns):
        table = _from_one_hot(path, table)
    if not {"image_id", "dx"} <= set(table.columns):
        raise InputError(
            f"{path} has the columns {', '.join(table.columns)}; wanted image_id,dx "
            f"or image,{','.join(ISIC_COLUMNS)}.\nNext: name a table of labels"
        )
    unknown = table[~table["dx"].isin(CLASSES)]
    if len(unknown):
        first = unknown.iloc[0]
        raise InputError(
            f"{path}: {first['image_id']} has the class {first['dx']!r}, wanted one of "
            f"{', '.join(CLASSES)}.\nNext: correct the table"
        )
    refuse_repeats(path, table["image_id"])
    kept = [name for name in ("image_id", "dx", "lesion_id") if name in table]
    return table[kept].reset_index(drop=True)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read what `score` wrote: ``image_id``, ``status``, ``prediction``, ``p_akiec`` and so on.

    ``image_id`` is the file name without folder and suffix; probabilities are
    float64. The ISIC 2018 Task 3 header is read as well.

    Raises
    ------
    InputError
        If columns are missing, a probability is none, or an image stands twice.
    """
    table = read_text_table(path)
    if {"image", *ISIC_COLUMNS} <= set(table.columns):
        table = table.rename(
            columns=dict(zip(ISIC_COLUMNS, _isic_probability_names(), strict=True))
        )
        scored = (table[PROBABILITY_COLUMNS].to_numpy() != "").all(axis=1)
        table["status"] = np.where(scored, "ok", "failed")
    missing = {"image", "status", *PROBABILITY_COLUMNS} - set(table.columns)
    if missing:
        raise InputError(
            f"{path} lacks the columns {', '.join(sorted(missing))}; wanted a table of "
            "hambatch score.\nNext: hambatch score SOURCE --out preds.csv"
        )
    table["image_id"] = [PurePosixPath(name).stem for name in table["image"]]
    refuse_repeats(path, table["image_id"])
    table = _with_numbers(path, table)
    if "prediction" not in table:
        best = table[PROBABILITY_COLUMNS].fillna(-1).to_numpy().argmax(axis=1)
        table["prediction"] = [CLASSES[k] for k in best]
    return table[["image_id", "status", "prediction", *PROBABILITY_COLUMNS]]


def refuse_repeats(path: Path, image_ids: "pd.Series[str]") -> None:
    """Refuse a table in which one image has two rows: which one counts is not ours to guess.

    Raises
    ------
    InputError
        Naming the first five.
    """
    repeated = sorted(set(image_ids[image_ids.duplicated()]))
    if repeated:
        raise InputError(
            f"{path} has more than one row for {len(repeated)} images: "
            f"{', '.join(repeated[:5])}.\nNext: keep one row an image"
        )


def _isic_probability_names() -> list[str]:
    return [f"p_{name}" for name in ISIC_CLASSES]


def _with_numbers(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    numbers = table[PROBABILITY_COLUMNS].apply(pd.to_numeric, errors="coerce")
    scored = table["status"] == "ok"
    good = numbers.ge(0).all(axis=1) & numbers.le(1).all(axis=1)
    bad = table[scored & ~good]
    if len(bad):
        row = bad.iloc[0]
        raise InputError(
            f"{path}: {row['image']} has the probabilities "
            f"{', '.join(row[PROBABILITY_COLUMNS])}; wanted seven numbers from 0 to 1.\n"
            "Next: score the images again"
        )
    return table.assign(**{name: numbers[name] for name in PROBABILITY_COLUMNS})


def _from_one_hot(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    values = table[list(ISIC_COLUMNS)].apply(pd.to_numeric, errors="coerce").to_numpy()
    wrong = ~((np.isin(values, (0, 1)).all(axis=1)) & (values.sum(axis=1) == 1))
    if wrong.any():
        raise InputError(
            f"{path}: the row of {table['image'].iloc[int(wrong.argmax())]} is not one-hot.\n"
            "Next: correct the table"
        )
    dx = [ISIC_CLASSES[k] for k in values.argmax(axis=1)]
    return table.assign(image_id=table["image"], dx=dx)
