"""Near-duplicates in a split table: refused in two splits, or kept together."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.ham10000.leaks import SHOWN
from hambatch.ham10000.perceptual_hash import pairs_apart, signatures_of, thumbnails
from hambatch.ham10000.split import join_groups
from hambatch.ham10000.table import files_of
from hambatch.system.text import first_names


class Compared(NamedTuple):
    """Pairs int64 ``[m, 2]`` of rows that look the same; rows that cannot be decoded."""

    pairs: NDArray[np.int64]
    unseen: list[int]


def compare_images(table: pd.DataFrame, root: Path, apart: str) -> Compared:
    """Look for near-duplicates among rows that differ in the column ``apart``.

    ``table`` needs ``sha256`` and ``file``, which is relative to ``root``.
    """
    known = thumbnails(files_of(table, root))
    decoded = table["sha256"].isin(list(known)).to_numpy(bool)
    at, unseen = np.flatnonzero(decoded), np.flatnonzero(~decoded).tolist()
    if not at.size:
        return Compared(np.empty((0, 2), np.int64), unseen)
    signatures = signatures_of(np.stack([known[digest] for digest in table["sha256"].iloc[at]]))
    return Compared(at[pairs_apart(signatures, list(table[apart].iloc[at]))], unseen)


def refuse_near_duplicates(table: pd.DataFrame, root: Path, name: str) -> int:
    """Refuse a split table with images in two splits that look the same.

    Raises InputError, naming the first pairs, and how many there are. Returns how many images
    could not be compared, as they cannot be read or decoded.
    """
    pairs, unseen = compare_images(table, root, "split")
    if len(pairs):
        sides = table["image_id"] + " in " + table["split"]
        raise InputError(
            f"{name} leaks: found {len(pairs)} pairs of nearly the same image in two splits: "
            f"{_shown(sides, pairs)}. Wanted every image, however it is encoded, in one split.\n"
            "Next: hambatch prepare HAM10000_DIR --out split.csv, which keeps them together"
        )
    return len(unseen)


def joined_groups(table: pd.DataFrame, pairs: NDArray[np.int64], name: str) -> list[str]:
    """Join the groups of rows that look the same; returns one group id a row.

    ``table`` needs ``group``, ``dx`` and ``image_id``. Raises InputError, with the table's
    ``name``, if two such rows have different dx: one of the labels is wrong.
    """
    dx = table["dx"].to_numpy(str)
    wrong = pairs[dx[pairs[:, 0]] != dx[pairs[:, 1]]]
    if len(wrong):
        raise InputError(
            f"{name}: found {len(wrong)} pairs of nearly the same image with different dx: "
            f"{_shown(table['image_id'] + ' is ' + table['dx'], wrong)}; wanted one dx.\n"
            "Next: restore these images, or remove their rows, and run this again"
        )
    groups = list(table["group"])
    return join_groups(groups, [(groups[low], groups[high]) for low, high in pairs.tolist()])


def _shown(rows: pd.Series, pairs: NDArray[np.int64]) -> str:
    named = [f"{rows.iloc[low]} and {rows.iloc[high]}" for low, high in pairs.tolist()]
    return first_names(named, SHOWN, "; ")
