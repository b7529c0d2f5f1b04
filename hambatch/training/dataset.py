"""The split table as training uses it: checked for leaks, every image once."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.ham10000.leaks import check_leaks
from hambatch.ham10000.split import group_lesions
from hambatch.ham10000.table import dataset_root, read_split
from hambatch.hashing import sha256_of_file
from hambatch.labels import CLASSES


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


def labels_of(dx: Iterable[str]) -> NDArray[np.int64]:
    """Indices of classes, int64 ``[n]``."""
    return np.array([CLASSES.index(name) for name in dx], np.int64)
