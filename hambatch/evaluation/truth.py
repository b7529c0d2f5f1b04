"""The truth that `evaluate` reads: image ids and classes, from columns of any name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.classes import ISIC_COLUMNS
from hambatch.errors import InputError
from hambatch.evaluation.labels import Labels, counted, meanings_of
from hambatch.evaluation.options import AS_HAM10000, LabelOptions
from hambatch.evaluation.tables import LESION, read_text_table
from hambatch.system.text import canonical_id
from hambatch.system.text_table import TextTable

PATIENT_COLUMNS = ("age", "sex", "localization", "dx_type")
"""What HAM10000's metadata say of a lesion, for figures of subgroups."""

ISIC_2019 = {"AK": "akiec"}
"""The class of ISIC 2019 that ISIC 2018 has under another name."""

OTHER_ISIC_COLUMNS = ("SCC", "UNK")
"""Classes of ISIC 2019 that are none of the seven."""

NEXT_TRUTH = (
    "give --truth a table with columns image_id and dx, such as the split.csv of hambatch prepare "
    "HAM10000_DIR --out split.csv, or add --id-column NAME --label-column NAME"
)

NEXT_NAMED = (
    "correct the table, or name its columns with --id-column NAME, --label-column NAME and "
    "--lesion-column NAME"
)


@dataclass(frozen=True)
class Truth:
    """The truth of the images that are evaluated.

    Attributes
    ----------
    path
        The file.
    rows
        The text columns ``image_id`` and ``dx``, and ``lesion_id`` and those of
        ``PATIENT_COLUMNS`` where they are known, empty where a value is missing; one row an
        image, in file order.
    other_ids
        Of the table's rows that are not evaluated: of another split, of no class, or without a
        label. An image of theirs is none of ``rows``.
    columns
        ``id_column``, ``label_column`` (None: the header is the label) and ``lesion_column``.
    map
        Labels to their ``class`` and number of ``images``, without those that are class names.
    left_out
        ``other_classes`` and ``unlabelled`` of :class:`~hambatch.evaluation.labels.Meanings`.
    """

    path: Path
    rows: pd.DataFrame
    other_ids: pd.Series
    columns: dict[str, str | None]
    map: dict[str, dict[str, Any]]
    left_out: dict[str, Any]


def read_truth(path: Path, split: str | None = None, options: LabelOptions = AS_HAM10000) -> Truth:
    """Read and check the truth.

    Parameters
    ----------
    path
        A table with the columns ``image_id`` and ``dx`` or those that ``options`` name (any
        others may follow); or ``image`` and the columns of ISIC 2018 or 2019, exactly one of them
        1 in a row.
    split
        Keep only the rows with this value in their ``split`` column.

    Raises InputError if the file is no such table, an image_id is empty or repeated, a label is
    none of the classes and not excluded, the split does not exist, or no row is left.
    """
    lesion = options.lesion_column or LESION
    named = _are_named(options) or options.lesion_column
    next_step = NEXT_NAMED if named else NEXT_TRUTH
    table = read_text_table(path, next_step, _columns_wanted(options, lesion))
    if options.lesion_column:
        table.check_columns([lesion])
    labels = _labels_in(table, options)
    ids = table.rows[labels.id_column].str.strip().map(canonical_id)
    table.check_ids(ids, labels.id_column)
    chosen = _in_split(table, split)
    meanings = meanings_of(labels, chosen, options)
    kept = chosen & (meanings.dx != "").to_numpy()
    if not kept.any():
        raise _nothing_left(table, meanings.left_out)
    rows = _with_patients(pd.DataFrame({"image_id": ids, "dx": meanings.dx}), table, lesion)
    return Truth(
        path,
        rows[kept].reset_index(drop=True),
        ids[~kept].reset_index(drop=True),
        {
            "id_column": labels.id_column,
            "label_column": labels.column,
            "lesion_column": lesion if table.has([lesion]) else None,
        },
        meanings.map,
        meanings.left_out,
    )


def _with_patients(rows: pd.DataFrame, table: TextTable, lesion: str) -> pd.DataFrame:
    """Add what the table says of lesions and patients."""
    for name, column in ((LESION, lesion), *((name, name) for name in PATIENT_COLUMNS)):
        if table.has([column]):
            rows[name] = table.known_in(column)
    return rows


def _columns_wanted(options: LabelOptions, lesion: str) -> tuple[str, ...]:
    named = (options.id_column or "image_id", options.label_column or "dx", lesion)
    one_hot = ("image", *ISIC_COLUMNS, *ISIC_2019, *OTHER_ISIC_COLUMNS)
    return (*named, "split", *PATIENT_COLUMNS, *(() if _are_named(options) else one_hot))


def _are_named(options: LabelOptions) -> bool:
    return bool(options.id_column or options.label_column)


def _labels_in(table: TextTable, options: LabelOptions) -> Labels:
    """Find the labels: in a column, or as the header of the column that is 1."""
    id_column, column = options.id_column or "image_id", options.label_column or "dx"
    if table.has([id_column, column]):
        if id_column == column:
            raise table.refused(f"one column {column} for ids and labels", "two columns")
        return Labels(table, table.rows[column].str.strip(), column, id_column, {})
    one_hot = _one_hot_columns(table)
    if one_hot and not _are_named(options):
        texts = _from_one_hot(table, one_hot)
        known = {name.lower(): dx for name, dx in ISIC_2019.items()}
        return Labels(table, texts, None, "image", known)
    if one_hot:
        raise InputError(
            f"{table.path}: found the columns {' '.join(one_hot)}, which are the labels; wanted "
            "no --id-column or --label-column beside them.\n"
            "Next: leave --id-column and --label-column away"
        )
    if _are_named(options):
        table.check_columns([id_column, column])
    raise table.columns_refused(f"image_id and dx, or image and {' '.join(ISIC_COLUMNS)}")


def _one_hot_columns(table: TextTable) -> list[str]:
    """List the columns of ISIC 2018, or of ISIC 2019, that are the labels; none if it lacks one."""
    for columns in (ISIC_COLUMNS, [*(set(ISIC_COLUMNS) - {"AKIEC"}), *ISIC_2019]):
        if table.has(["image", *columns]):
            wanted = {*columns, *OTHER_ISIC_COLUMNS}
            return [name for name in table.rows.columns if name in wanted]
    return []


def _from_one_hot(table: TextTable, columns: list[str]) -> pd.Series:
    values = np.column_stack([table.numbers_in(name) for name in columns])
    one_hot = np.isin(values, (0, 1)).all(axis=1) & (values.sum(axis=1) == 1)
    empty = (table.rows[columns] == "").all(axis=1).to_numpy()
    table.check(
        "image", one_hot | empty, f"a 1 in one of {' '.join(columns)}, 0 elsewhere", "image"
    )
    names = np.array([*columns, ""], dtype=object)
    return pd.Series(names[np.where(empty, -1, values.argmax(axis=1))], dtype=str)


def _in_split(table: TextTable, split: str | None) -> NDArray[np.bool_]:
    if split is None:
        return np.ones(len(table.rows), bool)
    if not table.has(["split"]):
        raise table.columns_refused(f"a column split, for --split {split}")
    chosen = (table.rows["split"] == split).to_numpy()
    if not chosen.any():
        found = ", ".join(sorted(table.rows["split"].unique()))
        raise table.refused(f"splits {found}", f"rows of --split {split}")
    return chosen


def _nothing_left(table: TextTable, left_out: dict[str, Any]) -> InputError:
    others = counted(left_out.get("other_classes", {}).items())
    found = f"labels of other classes: {others}" if others else "no label"
    return InputError(
        f"{table.path}: found no image of the seven classes, {found}; wanted at least one.\n"
        "Next: add --map LABEL=CLASS, or name the column of the labels with --label-column NAME"
    )
