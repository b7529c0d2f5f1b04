"""A split table and its images: read, checked for leaks, and scored by the path of every run."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.backend_names import BACKEND_OF_GATES
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import Engine
from hambatch.engines.training_images import LISTED, TrainingImages
from hambatch.errors import InputError
from hambatch.ham10000.image_ids import HAM10000
from hambatch.ham10000.leaks import check_leaks, known_pairs_in
from hambatch.ham10000.near_duplicates import (
    compare_images,
    joined_groups,
    refuse_near_duplicates,
)
from hambatch.ham10000.split import group_lesions
from hambatch.ham10000.table import dataset_root, files_of, prepared_with, read_split
from hambatch.ham10000.training_images import training_images_of
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_files
from hambatch.system.files import sha256_of_bytes, sha256_of_file
from hambatch.training.extra_options import ExtraOptions
from hambatch.training.extras import ExtraSource, read_extras
from hambatch.types import Row

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
    repeats
        The rows that were dropped.
    prepared_with
        The options of ``prepare``, as far as the table's record names them.
    extras
        Images of other sources, for training alone.
    """

    table: pd.DataFrame
    root: Path
    split_sha256: str
    repeats: pd.DataFrame = field(default_factory=pd.DataFrame)
    prepared_with: dict[str, float] = field(default_factory=dict)
    extras: tuple[ExtraSource, ...] = ()

    @property
    def files(self) -> dict[str, Path]:
        """Path of every image by the sha256 of its bytes."""
        found = files_of(self.table, self.root)
        for source in self.extras:
            found |= files_of(source.images, self.root)
        return found

    @property
    def every(self) -> pd.DataFrame:
        """The rows of the split table, repeats too."""
        return pd.concat([self.table, self.repeats], ignore_index=True)

    def part(self, *splits: str) -> pd.DataFrame:
        """Rows of one part of the split, or of several of them, in the table's order."""
        return self.table[self.table["split"].isin(splits)]

    def training_images(self, source: str = HAM10000) -> TrainingImages:
        """List what an engine is trained on with it, under every name that an image has.

        And what of the same sources it is not trained on. ``source`` is that of the split table.
        """
        parts = [self.every]
        for extra in self.extras:
            rows = pd.concat([extra.images.assign(split="train"), extra.left_out.assign(split="")])
            parts.append(rows.assign(source=extra.about.name))
        every = pd.concat(parts, ignore_index=True)
        # Another copy of an image that is trained on, by its bytes.
        for part in LISTED:
            known = set(every["sha256"][every["split"] == part])
            copies = (every["split"] == "") & every["sha256"].isin(known)
            every["split"] = every["split"].mask(copies, part)
        return training_images_of(every, self.root, self.split_sha256, self.prepared_with, source)


def read_dataset(path: Path) -> Dataset:
    """Read a split table; no image is opened.

    Raises InputError if it is no split table, leaks, or its images are not there.
    """
    table = read_split(path)
    check_leaks(table, str(path))
    groups = group_lesions(list(table["lesion_id"]), list(table["sha256"]))
    table = table.assign(group=groups)
    repeated = table.duplicated("sha256")
    return Dataset(
        table[~repeated].reset_index(drop=True),
        dataset_root(path),
        sha256_of_file(path),
        table[repeated],
        prepared_with(path),
    )


def refuse_near_duplicates_in(dataset: Dataset, path: Path) -> None:
    """Raise InputError if images in two splits look the same, naming the first."""
    unseen = refuse_near_duplicates(dataset.table, dataset.root, str(path))
    if unseen:
        log.info("%d images cannot be read or decoded, and were not compared", unseen)


def with_extras(dataset: Dataset, options: ExtraOptions) -> Dataset:
    """Add images of other sources, without those that meet one of the split table.

    Raises InputError as :func:`hambatch.training.extras.read_extras` does.
    """
    return replace(dataset, extras=read_extras(options, dataset.every, dataset.root))


def with_near_duplicates_joined(dataset: Dataset, path: Path) -> Dataset:
    """Join the groups of images that look the same and of known pairs, whatever the split.

    Raises InputError if two of them have different dx.
    """
    pairs, _ = compare_images(dataset.table, dataset.root, "group")
    pairs = np.vstack([pairs, known_pairs_in(dataset.table)])
    groups = joined_groups(dataset.table, pairs, str(path))
    return replace(dataset, table=dataset.table.assign(group=groups))


def labels_of(dx: Iterable[str]) -> NDArray[np.int64]:
    """Indices of classes, int64 ``[n]``."""
    return np.array([CLASSES.index(name) for name in dx], np.int64)


def images_per_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the training images of each class: int64 ``[7]``; InputError if one has none."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    if not counts.all():
        raise InputError(
            f"the training part has no image of class {CLASSES[int(counts.argmin())]}.\n"
            "Next: hambatch prepare, with smaller val and test fractions, or fewer --folds"
        )
    return counts


NEXT = "hambatch prepare HAM10000_DIR --out split.csv, or restore the images that it names"


def score_split(
    engine: Engine, root: Path, images: pd.DataFrame, precision: str, *, calibration: bool = False
) -> list[Row]:
    """Score with one graph on the CPU, uncalibrated by default; rows in the table's order.

    Raises InputError if an image is not the table's, or cannot be scored.
    """
    # A graph that is being measured has passed no gate yet.
    options = ScoreOptions.on_cpu(
        engine=str(engine.folder),
        backend=BACKEND_OF_GATES,
        precision=precision,
        force=True,
        calibration=calibration,
    )
    rows = predict_files(root, list(images["file"]), options)
    for row, wanted in zip(rows, images["sha256"], strict=True):
        if row.status != "ok":
            raise InputError(f"{root / row.image} cannot be scored: {row.reason}.\nNext: {NEXT}")
        if row.sha256 != wanted:
            raise InputError(
                f"{root / row.image} is not the image of the split table: "
                f"sha256 {row.sha256}, wanted {wanted}.\nNext: {NEXT}"
            )
    return rows


def read_split_file(path: Path, sha256: str) -> bytes:
    """Read an image of the split table; InputError if it is missing, or of another hash."""
    following = "Next: restore the images, or run hambatch prepare again"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.\n{following}") from error
    if (found := sha256_of_bytes(content)) != sha256:
        raise InputError(
            f"{path} is not the file that was split: sha256 {found}, wanted {sha256}.\n{following}"
        )
    return content
