"""Folders where good and damaged files lie next to each other in no order that means anything."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hambatch.engines.synthetic import synthesize
from tests.faults.jpeg_parts import can_be_damaged
from tests.faults.mutations import Mutant, mutant

SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6

ENCODINGS: tuple[dict[str, Any], ...] = (
    {"quality": 90},
    {"quality": 75, "optimize": True},
    {"quality": 85, "progressive": True},
    {"quality": 95, "subsampling": 0},
    {"quality": 80, "restart_marker_rows": 1},
    {"quality": 90, "exif": SIDEWAYS},
)
"""Ways of writing a JPEG that take different paths through a decoder."""


def generated_jpegs(count: int, seed: int, width: int, height: int) -> list[bytes]:
    """Synthetic photographs in all :data:`ENCODINGS`; one in 16 is grey.

    Coloured lights, different for each, keep any two of them apart.
    """
    files = []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        lights = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8))
        lights = lights.resize((width, height), Image.Resampling.BICUBIC)
        image = Image.blend(Image.fromarray(synthesize(rng, width, height)), lights, 0.6)
        stream = io.BytesIO()
        image = image.convert("L") if k % 16 == 15 else image
        image.save(stream, format="JPEG", **ENCODINGS[k % len(ENCODINGS)])
        files.append(stream.getvalue())
    return files


def found_jpegs(folder: Path, count: int, seed: int) -> list[bytes]:
    """Take ``count`` whole JPEGs of a folder, without looking at which."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    files = []
    for k in np.random.default_rng(seed).permutation(len(paths)):
        content = paths[k].read_bytes()
        if can_be_damaged(content):
            files.append(content)
        if len(files) == count:
            return files
    raise ValueError(f"{folder} holds {len(files)} whole JPEGs, wanted {count}")


def mutants(bases: Sequence[bytes], seed: int, first: int, count: int) -> list[Mutant]:
    """Number ``first`` and those after it."""
    return [mutant(bases, seed, k) for k in range(first, first + count)]


def scattered(label: str) -> str:
    """A file name that depends on the label, and whose place in a listing does not."""
    return hashlib.sha256(label.encode()).hexdigest()[:12] + ".jpg"


def write_folder(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by name into a new folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
