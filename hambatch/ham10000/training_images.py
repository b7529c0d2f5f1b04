"""From a split table to the hashes by which its images are known again."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from hambatch.engines.training_images import (
    DIGITS,
    LISTED,
    HeldOutImage,
    TrainingImage,
    TrainingImages,
    hashed,
)
from hambatch.ham10000.image_ids import HAM10000
from hambatch.ham10000.perceptual_hash import packed, thumbnails
from hambatch.ham10000.table import files_of
from hambatch.sources.reading import Item
from hambatch.system.text import canonical_id

KEYS = ("image", "lesion", "content", "picture")
"""What two images are compared by; an empty one is not known."""

Pictures = Mapping[str, bytes]
"""Packed thumbnails by the sha256 of the file's bytes."""


def pictures_of(files: Mapping[str, Path | Item]) -> Pictures:
    """Decode files by the sha256 of their bytes; one that cannot be decoded has none."""
    found = thumbnails(files)
    if not found:
        return {}
    rows = packed(np.stack(list(found.values())))
    return {sha256: row.tobytes() for sha256, row in zip(found, rows, strict=True)}


def with_keys(table: pd.DataFrame, pictures: Pictures) -> pd.DataFrame:
    """Add the columns ``KEYS`` to rows with ``image_id``, ``lesion_id`` and ``sha256``.

    The ids of images are in the form of :func:`hambatch.system.text.canonical_id`.
    """
    return table.assign(
        image=[hashed(name) for name in table["image_id"]],
        lesion=[hashed(name) for name in table["lesion_id"]],
        content=[sha256[:DIGITS] for sha256 in table["sha256"]],
        picture=pd.Series([pictures.get(s, b"") for s in table["sha256"]], table.index, object),
    )


def training_images_of(
    table: pd.DataFrame,
    root: Path,
    split_sha256: str,
    prepared_with: Mapping[str, float],
    source: str = HAM10000,
) -> TrainingImages:
    """List the rows of a split table, and of other sources, whose images lie below ``root``.

    Parameters
    ----------
    table
        Columns of a split table; rows of no split, or of another than ``train`` and ``val``, are
        listed as held out. A column ``source`` names the source of rows of other tables; it is
        empty for those of the split table.
    source
        Name of the source of the split table.
    """
    table = table.assign(image_id=table["image_id"].map(canonical_id))
    own = table["source"].fillna("") if "source" in table.columns else pd.Series("", table.index)
    names = own.mask(own == "", source)
    sources = tuple(dict.fromkeys([source, *names]))
    table = table.assign(source=names.map(sources.index))
    used = table["split"].isin(LISTED)
    rows = with_keys(table[used], pictures_of(files_of(table[used], root)))
    images = (
        TrainingImage(image, lesion, content, split, b64encode(picture).decode(), source)
        for image, lesion, content, picture, split, source in zip(
            *(rows[key] for key in (*KEYS, "split", "source")), strict=True
        )
    )
    rows = with_keys(table[~used], {})
    held_out = zip(*(rows[key] for key in (*KEYS[:3], "source")), strict=True)
    return TrainingImages(
        split_sha256,
        dict(prepared_with),
        sources,
        tuple(images),
        tuple(HeldOutImage(*values) for values in held_out),
    )
