"""Near-duplicates in a split table: refused on two sides, or kept together."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.ham10000.perceptual_hash import looks_of, pairs_apart, thumbnails
from hambatch.ham10000.split import group_lesions

SHOWN = 3
"""How many pairs a message names before it only counts."""


class Compared(NamedTuple):
    """Pairs int64 ``[m, 2]`` of rows that look the same; rows that nobody could look at."""

    pairs: NDArray[np.int64]
    unseen: list[int]


def compare_pictures(table: pd.DataFrame, root: Path, apart: str) -> Compared:
    """Look for near-duplicates among rows that differ in the column ``apart``.

    Parameters
    ----------
    table
        Needs ``file``, ``sha256`` and that column.
    root
        Folder that ``file`` is relative to.
    """
    names = zip(table["sha256"], table["file"], strict=True)
    files = {digest: root / name for digest, name in names}
    seen = thumbnails(files)
    hashes = list(table["sha256"])
    at = np.array([k for k, digest in enumerate(hashes) if digest in seen], np.int64)
    unseen = sorted(set(range(len(hashes))) - set(at.tolist()))
    if not len(at):
        return Compared(np.empty((0, 2), np.int64), unseen)
    looks = looks_of(np.stack([seen[hashes[k]] for k in at]))
    return Compared(at[pairs_apart(looks, list(table[apart].iloc[at]))], unseen)


def refuse_near_duplicates(table: pd.DataFrame, root: Path, name: str) -> int:
    """Refuse a split table with pictures on two sides that look the same.

    Returns
    -------
    How many images could not be compared, as they cannot be read or decoded.

    Raises
    ------
    InputError
        Naming the first three pairs, and how many there are.
    """
    pairs, unseen = compare_pictures(table, root, "split")
    if len(pairs):
        sides = table["image_id"] + " in " + table["split"]
        raise InputError(
            f"{name} leaks: found {len(pairs)} pairs of nearly the same picture on two sides: "
            f"{_shown(sides, pairs)}. Wanted every picture, however it is encoded, on one side.\n"
            "Next: hambatch prepare HAM10000_DIR --out split.csv, which keeps them together"
        )
    return len(unseen)


def joined_groups(table: pd.DataFrame, pairs: NDArray[np.int64], name: str) -> list[str]:
    """Join the groups of rows that look the same.

    Parameters
    ----------
    table
        Needs ``group``, ``dx`` and ``image_id``.
    name
        What to call the table in the message.

    Returns
    -------
    One group id per row, as :func:`hambatch.ham10000.split.group_lesions` gives.

    Raises
    ------
    InputError
        If two such rows have different dx: one of the labels is wrong.
    """
    dx = table["dx"].to_numpy(str)
    wrong = pairs[dx[pairs[:, 0]] != dx[pairs[:, 1]]]
    if len(wrong):
        raise InputError(
            f"{name}: found {len(wrong)} pairs of nearly the same picture with different dx: "
            f"{_shown(table['image_id'] + ' is ' + table['dx'], wrong)}; wanted one dx.\n"
            "Next: restore these images, or remove their rows, and run this again"
        )
    groups = list(table["group"])
    # A pair is told as bytes that its two groups have in common.
    links = [(groups[row], f"pair {k}") for k, pair in enumerate(pairs.tolist()) for row in pair]
    own = [(group, f"row {k}") for k, group in enumerate(groups)]
    lesions, bonds = zip(*own, *links, strict=True)
    return group_lesions(lesions, bonds)[: len(groups)]


def _shown(told: pd.Series, pairs: NDArray[np.int64]) -> str:
    shown = [f"{told.iloc[low]} and {told.iloc[high]}" for low, high in pairs[:SHOWN].tolist()]
    return "; ".join(shown) + ("; ..." if len(pairs) > SHOWN else "")
