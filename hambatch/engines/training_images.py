"""`training_images.json`: hashes of the images that an engine was trained on.

Hashes and not names: an engine that is passed on does not publish the ids of a clinic's patients.
Whoever can guess an id can still ask whether it is among them.
"""

import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from msgspec import Meta

from hambatch.engines.loading import verify_file
from hambatch.engines.manifest import TRAINING_IMAGES, Manifest
from hambatch.errors import EngineError
from hambatch.system.files import sha256_of_bytes, write_text
from hambatch.system.schema import read_json_file

DIGITS = 16
"""Hexadecimal digits of a hash that are kept: of a million ids, none meets another by chance."""

Listed = Literal["train", "val"]

LISTED: tuple[Listed, ...] = get_args(Listed)
"""The parts of a split table that a list holds: of them an engine's ``trained_on`` may be."""

Hash = Annotated[str, Meta(pattern=f"^([0-9a-f]{{{DIGITS}}})?$")]
Packed = Annotated[str, Meta(pattern="^([A-Za-z0-9+/]{83}=)?$")]


class TrainingImage(NamedTuple):
    """One image: hashes of its ids and of its bytes; an empty one is not known.

    ``picture`` is base64 of what :func:`hambatch.ham10000.perceptual_hash.packed` gives.
    """

    image: Hash
    lesion: Hash
    content: Hash
    split: Listed
    picture: Packed


@dataclass(frozen=True)
class TrainingImages:
    """The rows ``train`` and ``val`` of a split table, and how ``prepare`` had made that table.

    ``prepared_with`` holds its options; it is empty for a table of another origin.
    """

    split_sha256: str
    prepared_with: dict[str, float]
    images: tuple[TrainingImage, ...]
    format: Literal[1] = 1


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
    }
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in sorted(found.images))
    text = f'{json.dumps(head)[:-1]}, "images": [\n{rows}\n]}}\n'
    write_text(folder / TRAINING_IMAGES, text)


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
        found = read_json_file(path, TrainingImages)
        own = manifest.data.get("split_sha256", found.split_sha256)
        if found.split_sha256 != own:
            raise ValueError(f"it is of split table {found.split_sha256}, the engine of {own}")
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{path} cannot be used: {error}; wanted a list of training images.\n"
            "Next: install hambatch again, or train the engine again"
        ) from error
    return found
