"""The split table as training uses it: checked for leaks, every image once."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.ham10000.known_pairs import known_pairs_in
from hambatch.ham10000.leaks import check_leaks
from hambatch.ham10000.near_duplicates import (
    compare_pictures,
    joined_groups,
    refuse_near_duplicates,
)
from hambatch.ham10000.split import group_lesions
from hambatch.ham10000.table import dataset_root, read_split
from hambatch.hashing import sha256_of_file
from hambatch.labels import CLASSES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """A split table and where its images lie.

    Attributes
    ----------
    table
        One row an image, byte-identical repeats dropped (they would count twice
        in every figure); ``group`` joins lesions that share a photograph.
    root
        Folder that ``file`` is relative to.
    split_sha256
        Of the table's file.
    """

    table: pd.DataFrame
    root: Path
    split_sha256: str

    @property
    def files(self) -> dict[str, Path]:
        """Path of every image by the sha256 of its bytes."""
        names = zip(self.table["sha256"], self.table["file"], strict=True)
        return {sha256: self.root / name for sha256, name in names}

    def part(self, split: str) -> pd.DataFrame:
        """Rows of ``train``, ``val`` or ``test``."""
        return self.table[self.table["split"] == split]


def read_dataset(path: Path) -> Dataset:
    """Read a split table; no image is opened.

    Raises
    ------
    InputError
        If it is no split table, leaks, or its images are not there.
    """
    table = read_split(path)
    check_leaks(table, str(path))
    groups = group_lesions(list(table["lesion_id"]), list(table["sha256"]))
    table = table.assign(group=groups).drop_duplicates("sha256", ignore_index=True)
    return Dataset(table, dataset_root(path), sha256_of_file(path))


def refuse_near_duplicates_in(dataset: Dataset, path: Path) -> None:
    """Look at the pictures as well: none may be on two sides.

    Raises
    ------
    InputError
        Naming the first pairs that look the same.
    """
    unseen = refuse_near_duplicates(dataset.table, dataset.root, str(path))
    if unseen:
        log.info("%d images cannot be read or decoded, and were not compared", unseen)


def with_near_duplicates_joined(dataset: Dataset, path: Path) -> Dataset:
    """Join the groups of pictures that look the same and of known pairs, whatever the split.

    Raises
    ------
    InputError
        If two of them have different dx.
    """
    pairs, _ = compare_pictures(dataset.table, dataset.root, "group")
    pairs = np.vstack([pairs, known_pairs_in(dataset.table)])
    groups = joined_groups(dataset.table, pairs, str(path))
    return replace(dataset, table=dataset.table.assign(group=groups))


def labels_of(dx: Iterable[str]) -> NDArray[np.int64]:
    """Indices of classes, int64 ``[n]``."""
    return np.array([CLASSES.index(name) for name in dx], np.int64)
