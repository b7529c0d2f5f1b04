"""`training_images.json`: hashes of the images that an engine was trained on, and of their source.

It also lists the images of these sources that were known and not trained on: any other image is of
another source. Hashes and not names: an engine that is passed on does not publish the ids of a
clinic's patients. Whoever can guess an id can still ask whether it is among them.
"""

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from msgspec import Meta

from hambatch.engines.loading import verify_file
from hambatch.engines.manifest import TRAINING_IMAGES, Manifest, Name
from hambatch.errors import EngineError
from hambatch.system.files import sha256_of_bytes, write_text
from hambatch.system.schema import convert, read_json_file
from hambatch.system.text import excerpt, first_names

DIGITS = 16
"""Hexadecimal digits of a hash that are kept: of a million ids, none meets another by chance."""

Listed = Literal["train", "val"]

LISTED: tuple[Listed, ...] = get_args(Listed)
"""The parts of a split table that a list holds: of them an engine's ``trained_on`` may be."""

Hash = Annotated[str, Meta(pattern=f"^([0-9a-f]{{{DIGITS}}})?$")]
Packed = Annotated[str, Meta(pattern="^([A-Za-z0-9+/]{83}=)?$")]


Source = Annotated[int, Meta(ge=0)]
"""Which of the list's ``sources``."""


class TrainingImage(NamedTuple):
    """One image: hashes of its ids and of its bytes; an empty one is not known.

    ``picture`` is base64 of what :func:`hambatch.ham10000.perceptual_hash.packed` gives.
    """

    image: Hash
    lesion: Hash
    content: Hash
    split: Listed
    picture: Packed
    source: Source


class HeldOutImage(NamedTuple):
    """An image of a source of the training that was not trained on: hashes as above."""

    image: Hash
    lesion: Hash
    content: Hash
    source: Source


@dataclass(frozen=True)
class TrainingImages:
    """What an engine was trained on, and what of the same sources it was not trained on.

    Attributes
    ----------
    split_sha256
        Of the split table.
    prepared_with
        How ``prepare`` had made that table; empty for a table of another origin.
    sources
        Names; the first is that of the split table.
    images
        The rows ``train`` and ``val`` of the split table, and images of other sources, ``train``.
    held_out
        The other rows of the split table, and of the other sources. Format 1 lists none, and has
        the first source for every image.
    """

    split_sha256: str
    prepared_with: dict[str, float]
    sources: Annotated[tuple[Name, ...], Meta(min_length=1)]
    images: tuple[TrainingImage, ...]
    held_out: tuple[HeldOutImage, ...]
    format: Literal[1, 2] = 2


class _ImageOfFormat1(NamedTuple):
    image: Hash
    lesion: Hash
    content: Hash
    split: Listed
    picture: Packed


@dataclass(frozen=True)
class _Format1:
    split_sha256: str
    prepared_with: dict[str, float]
    images: tuple[_ImageOfFormat1, ...]


def hashed(name: str) -> str:
    """Hash an image id, percent-encoded as in a table, or a lesion id; nothing stays nothing.

    One id has one hash however its letters are composed.
    """
    if not name:
        return ""
    return sha256_of_bytes(unicodedata.normalize("NFC", name).encode())[:DIGITS]


def write_training_images(folder: Path, found: TrainingImages) -> None:
    """Write the file, one image a line; ``engine.json`` has to name it afterwards."""
    head: dict[str, Any] = {
        "format": found.format,
        "split_sha256": found.split_sha256,
        "prepared_with": found.prepared_with,
        "sources": found.sources,
    }
    images, held_out = (_lines(rows) for rows in (found.images, found.held_out))
    text = f'{json.dumps(head)[:-1]}, "images": {images}, "held_out": {held_out}}}\n'
    write_text(folder / TRAINING_IMAGES, text)


def _lines(rows: Iterable[tuple[Any, ...]]) -> str:
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in sorted(rows))
    return f"[\n{lines}\n]"


def read_training_images(folder: Path, manifest: Manifest) -> TrainingImages | None:
    """Read the list of an engine; None if ``engine.json`` names none.

    Raises EngineError if it is missing, has changed, or is no such list, or that of another split
    table than the engine's.
    """
    if TRAINING_IMAGES not in manifest.files:
        return None
    verify_file(folder, manifest, TRAINING_IMAGES)
    path = folder / TRAINING_IMAGES
    try:
        found = _typed(read_json_file(path, dict[str, Any]), manifest)
        own = manifest.data.get("split_sha256", found.split_sha256)
        if found.split_sha256 != own:
            raise ValueError(f"it is of split table {found.split_sha256}, the engine of {own}")
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{path} cannot be used: {error}; wanted a list of training images.\n"
            "Next: install hambatch again, or train the engine again"
        ) from error
    return found


def _typed(raw: dict[str, Any], manifest: Manifest) -> TrainingImages:
    """Check types and ranges; of format 1, every image is of the source of the split table."""
    if raw.get("format") == 1:
        old = convert(raw, _Format1)
        images = tuple(TrainingImage(*image, 0) for image in old.images)
        name = manifest.data_name
        return TrainingImages(old.split_sha256, old.prepared_with, (name,), images, (), 1)
    if raw.get("format") != 2:
        found = excerpt(repr(raw.get("format")))
        raise ValueError(f"its format is {found}, this hambatch reads 1 and 2")
    listed = convert(raw, TrainingImages)
    if len(set(listed.sources)) < len(listed.sources):
        raise ValueError(f"it names a source twice: {first_names(listed.sources)}")
    used = {image.source for image in listed.images} | {one.source for one in listed.held_out}
    last = max(used, default=0)
    if last >= len(listed.sources):
        raise ValueError(f"an image is of source {last}, and it names {len(listed.sources)}")
    return listed
