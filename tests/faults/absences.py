"""Files that lack exactly one part, of every format that is read.

Beside damage (``mutations``), which a checksum or a decoder may notice, this is what a decoder may
pass over in silence: the file is in order, but for what is not there. A new format adds an entry
to :data:`FORMATS`: ways to write a good file, and functions that leave out one part each.
"""

import io
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.faults.bmp_absences import BMP_ABSENCES, BMP_ENCODINGS
from tests.faults.command import Command, rows_of_file
from tests.faults.corpus import scattered, write_folder
from tests.faults.dicom_absences import DICOM_ABSENCES
from tests.faults.dicom_absences import ENCODINGS as DICOM_ENCODINGS
from tests.faults.gif_absences import GIF_ABSENCES, GIF_ENCODINGS
from tests.faults.heif_absences import (
    AVIF_ABSENCES,
    AVIF_ENCODINGS,
    HEIC_ABSENCES,
    HEIC_ENCODINGS,
)
from tests.faults.jpeg2000_absences import JPEG2000_ABSENCES, JPEG2000_ENCODINGS
from tests.faults.jpeg_absences import JPEG_ABSENCES
from tests.faults.jpeg_writing import JPEG_ENCODINGS
from tests.faults.png_absences import PNG_ABSENCES
from tests.faults.png_writing import PNG_ENCODINGS
from tests.faults.tiff_absences import TIFF_ABSENCES
from tests.faults.tiff_writing import TIFF_ENCODINGS
from tests.faults.webp_absences import WEBP_ABSENCES, WEBP_ENCODINGS

Rng = np.random.Generator
Encode = Callable[[Image.Image], bytes]
LeaveOut = Callable[[Rng, bytes], tuple[str, bytes] | None]

PICTURES = 8
"""Of each encoding."""

SMALLEST, LARGEST = 48, 160
"""Sides of the pictures."""


@dataclass(frozen=True)
class Format:
    """Ways to write an RGB picture, and ways to leave out a part of what they wrote."""

    encodings: dict[str, Encode]
    absences: Sequence[LeaveOut]


FORMATS = {
    "jpeg": Format(JPEG_ENCODINGS, JPEG_ABSENCES),
    "png": Format(PNG_ENCODINGS, PNG_ABSENCES),
    "webp": Format(WEBP_ENCODINGS, WEBP_ABSENCES),
    "tiff": Format(TIFF_ENCODINGS, TIFF_ABSENCES),
    "bmp": Format(BMP_ENCODINGS, BMP_ABSENCES),
    "gif": Format(GIF_ENCODINGS, GIF_ABSENCES),
    "jpeg2000": Format(JPEG2000_ENCODINGS, JPEG2000_ABSENCES),
    "avif": Format(AVIF_ENCODINGS, AVIF_ABSENCES),
    "heic": Format(HEIC_ENCODINGS, HEIC_ABSENCES),
    "dicom": Format(DICOM_ENCODINGS, DICOM_ABSENCES),
}

KINDS = tuple((name, leave) for name, of in FORMATS.items() for leave in of.absences)


@dataclass(frozen=True)
class Absence:
    """A file that lacks a part, what that is, and its intact twin."""

    k: int
    kind: str
    encoding: str
    missing: str
    content: bytes
    twin: bytes


def absences(seed: int, wanted: int) -> list[Absence]:
    """Make so many; kinds take turns, and each of them takes every encoding in turn.

    A part that no pixel depends on is not missing: a file without it does not count.
    """
    numbers = map(partial(_absence, seed), count())
    missed = (a for a in numbers if a and not _same_pixels(a.content, a.twin))
    return list(islice(missed, wanted))


def _absence(seed: int, k: int) -> Absence | None:
    """Give number ``k`` of a seed, or None where no encoding has such a part.

    Where the encoding whose turn it is has none, it is left out of the next one that has.
    """
    name, leave_out = KINDS[k % len(KINDS)]
    encodings = list(FORMATS[name].encodings)
    for turn in range(len(encodings)):
        rng = np.random.default_rng([seed, k])
        encoding = encodings[(k // len(KINDS) + turn) % len(encodings)]
        twin = _twin(seed, name, encoding, int(rng.integers(PICTURES)))
        if lacking := leave_out(rng, twin):
            return Absence(k, f"{name}_{leave_out.__name__}", encoding, *lacking, twin)
    return None


@lru_cache(maxsize=1000)
def _twin(seed: int, name: str, encoding: str, picture: int) -> bytes:
    rng = np.random.default_rng([seed, picture])
    width, height = (int(side) for side in rng.integers(SMALLEST, LARGEST, 2))
    return FORMATS[name].encodings[encoding](_picture(rng, width, height))


def _picture(rng: Rng, width: int, height: int) -> Image.Image:
    """Make soft colours with grain, so that no bit of an encoding is idle."""
    colours = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8))
    soft = np.asarray(colours.resize((width, height), Image.Resampling.BICUBIC))
    grainy = soft + rng.normal(0, 12, (height, width, 1))
    return Image.fromarray(grainy.clip(0, 255).astype(np.uint8))


def _same_pixels(one: bytes, other: bytes) -> bool:
    pixels = [_pixels(one), _pixels(other)]
    return all(found is not None for found in pixels) and np.array_equal(*pixels)


_UNDECODABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, AssertionError, RuntimeError),
    *(TypeError, LookupError, struct.error),
)
"""What decoders raise for a file that they do not decode."""


@lru_cache(maxsize=1000)
def _pixels(content: bytes) -> NDArray[np.uint8] | None:
    try:
        with warnings.catch_warnings(action="ignore"):
            if content[8:12] == b"heic":
                import pillow_heif

                return np.asarray(pillow_heif.open_heif(io.BytesIO(content)).to_pillow())
            with Image.open(io.BytesIO(content)) as image:
                return np.asarray(image.convert("RGB"))
    except _UNDECODABLE:
        return None


@dataclass
class Noticed:
    """What became of absences and of their twins.

    Attributes
    ----------
    scored
        Absences whose rows are ``ok``: none, if all is right.
    twins, twins_failed
        How many twins there are; the encodings of those whose rows are not ``ok``.
    kinds
        Counts by (kind, status).
    reasons
        Counts by what the rows of absences say.
    """

    scored: list[Absence]
    twins: int
    twins_failed: list[str]
    kinds: Counter[tuple[str, str]]
    reasons: Counter[str]


def score_absences(made: Sequence[Absence], engine: Path, place: Path) -> Noticed:
    """Score absences and twins in one folder, mixed."""
    lacking = {scattered(f"absence {a.k}"): a for a in made}
    twins = {scattered(sha256(a.twin).hexdigest()): a for a in made}
    files = {n: a.content for n, a in lacking.items()} | {n: a.twin for n, a in twins.items()}
    folder = write_folder(place / "images", files)
    command = Command(folder, place / "p.csv", engine, place / "scratch", ("--batch-size", "8"))
    command.finish()
    rows = {row["image"]: row for row in rows_of_file(command.out)}
    assert rows.keys() == files.keys()
    return Noticed(
        [a for name, a in lacking.items() if rows[name]["status"] == "ok"],
        len(twins),
        [a.encoding for name, a in twins.items() if rows[name]["status"] != "ok"],
        Counter((a.kind, rows[name]["status"]) for name, a in lacking.items()),
        Counter(rows[name]["reason"] for name in lacking),
    )
