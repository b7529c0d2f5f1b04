"""Files that lack exactly one part, of every format that is read.

Beside damage (``mutations``), which a checksum or a decoder may notice, this is what a decoder may
pass over in silence: the file is in order, but for what is not there. A new format adds an entry
to :data:`FORMATS`: ways to write a good file, and functions that leave out one part each.
"""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from tests.faults.command import Command, rows_of_file
from tests.faults.corpus import picture_of, scattered, write_folder
from tests.faults.jpeg_absences import JPEG_ABSENCES
from tests.faults.jpeg_writing import JPEG_ENCODINGS
from tests.faults.png_absences import PNG_ABSENCES
from tests.faults.png_writing import PNG_ENCODINGS

Rng = np.random.Generator
Encode = Callable[[Image.Image], bytes]
LeaveOut = Callable[[Rng, bytes], tuple[str, bytes] | None]

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
    found: list[Absence] = []
    for k in count():
        made = _absence(seed, k)
        if made and not _same_pixels(made.content, made.twin):
            found.append(made)
        if len(found) == wanted:
            return found


def _absence(seed: int, k: int) -> Absence | None:
    """Give number ``k`` of a seed, or None where the encoding has no such part."""
    rng = np.random.default_rng([seed, k])
    name, leave_out = KINDS[k % len(KINDS)]
    encodings = FORMATS[name].encodings
    encoding = list(encodings)[k // len(KINDS) % len(encodings)]
    width, height = (int(side) for side in rng.integers(SMALLEST, LARGEST, 2))
    twin = encodings[encoding](picture_of(rng, width, height))
    lacking = leave_out(rng, twin)
    kind = f"{name}_{leave_out.__name__}"
    return Absence(k, kind, encoding, *lacking, twin) if lacking else None


def _same_pixels(one: bytes, other: bytes) -> bool:
    try:
        pixels = [np.asarray(Image.open(io.BytesIO(c)).convert("RGB")) for c in (one, other)]
    except (OSError, ValueError, SyntaxError, EOFError, AssertionError):
        return False
    return np.array_equal(*pixels)


@dataclass
class Noticed:
    """What became of absences and of their twins: both lists are empty if all is right.

    ``kinds`` counts by (kind, status), ``reasons`` by what the rows say, without numbers.
    """

    scored: list[Absence]
    twins_failed: list[str]
    kinds: Counter[tuple[str, str]]
    reasons: Counter[str]


def score_absences(made: Sequence[Absence], engine: Path, place: Path) -> Noticed:
    """Score absences and twins in one folder, mixed."""
    lacking = {scattered(f"absence {a.k}"): a for a in made}
    whole = {scattered(f"twin {a.k}"): a for a in made}
    files = {n: a.content for n, a in lacking.items()} | {n: a.twin for n, a in whole.items()}
    folder = write_folder(place / "images", files)
    command = Command(folder, place / "p.csv", engine, place / "scratch", ("--batch-size", "8"))
    command.finish()
    rows = {row["image"]: row for row in rows_of_file(command.out)}
    assert rows.keys() == files.keys()
    return Noticed(
        [a for name, a in lacking.items() if rows[name]["status"] == "ok"],
        [f"{a.kind} {a.encoding}" for n, a in whole.items() if rows[n]["status"] != "ok"],
        Counter((a.kind, rows[name]["status"]) for name, a in lacking.items()),
        Counter(rows[name]["reason"] for name in lacking),
    )
