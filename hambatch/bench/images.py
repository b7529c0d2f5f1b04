"""The images that are measured with: the user's own, or generated ones."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from hambatch.engines.synthetic import jpeg_of, synthesize
from hambatch.errors import InputError
from hambatch.pipelines.header import read_header
from hambatch.score.options import ScoreOptions
from hambatch.score.rows import predict_files
from hambatch.sources.listing import list_images
from hambatch.sources.reading import Item

WIDTH, HEIGHT, QUALITY = 600, 450, 95
"""Of generated JPEGs: those of HAM10000."""

GENERATED_AT_MOST = 64
"""More would be the same images again."""

CHECKED_AT_LEAST = 32
"""Images that are checked together: each time starts a worker."""


@dataclass(frozen=True)
class BenchImages:
    """Images that can be scored; ``scratch`` is a folder that is removed with them.

    Attributes
    ----------
    names
        Relative to ``root``, in the order of a run.
    facts
        What the result says of them, read before anything is measured.
    """

    root: Path
    names: tuple[str, ...]
    scratch: Path
    facts: dict[str, Any]

    def first(self, count: int) -> "BenchImages":
        """Leave out all but the first ``count``."""
        return replace(self, names=self.names[:count])

    def batches(self, count: int, size: int) -> tuple[tuple[Item, ...], ...]:
        """Cut ``count`` files into batches, the first file again after the last."""
        items = [Item(k, self.root / self.names[k % len(self.names)]) for k in range(count)]
        return tuple(tuple(items[start : start + size]) for start in range(0, count, size))


@contextmanager
def open_images(source: Path | None, count: int, options: ScoreOptions) -> Iterator[BenchImages]:
    """Choose at most ``count`` images of a folder that can be scored, or draw some.

    Raises InputError if the folder is missing, or holds no image that can be scored.
    """
    with tempfile.TemporaryDirectory(prefix="hambatch-bench-") as place:
        scratch, left_out = Path(place), 0
        if source is None:
            root = scratch / "images"
            names = generate(root, min(count, GENERATED_AT_MOST))
        else:
            root = source
            names, left_out = _scorable(source, count, options, scratch / "listing")
        facts = {"images": len(names), "generated": source is None, "left_out": left_out}
        yield BenchImages(root, names, scratch, facts | _sizes([root / name for name in names]))


def generate(folder: Path, count: int) -> tuple[str, ...]:
    """Write JPEGs, every one different, the same every time."""
    folder.mkdir()
    names = tuple(f"sample_{k:05d}.jpg" for k in range(count))
    for k, name in enumerate(names):
        pixels = synthesize(np.random.default_rng(k), WIDTH, HEIGHT)
        (folder / name).write_bytes(jpeg_of(pixels, QUALITY))
    return names


def _scorable(
    source: Path, count: int, options: ScoreOptions, listing: Path
) -> tuple[tuple[str, ...], int]:
    """Give the first ``count`` images that can be scored, and how many others were met."""
    waiting, good, left_out = iter(list_images(source, listing)), list[str](), 0
    while len(good) < count:
        wanted = max(count - len(good), CHECKED_AT_LEAST)
        if not (names := list(islice(waiting, wanted))):
            break
        # As a run does it: a file that kills its decoder makes no other one fail.
        found = [row.status == "ok" for row in predict_files(source, names, options)]
        good += [name for name, is_good in zip(names, found, strict=True) if is_good]
        left_out += found.count(False)
    if not good:
        raise InputError(
            f"none of the {left_out} images in {source} can be scored.\n"
            f"Next: hambatch score {source} --out preds.csv, whose rows say why"
        )
    return tuple(good[:count]), left_out


def _sizes(paths: list[Path]) -> dict[str, float]:
    contents = [path.read_bytes() for path in paths]
    headers = filter(None, map(read_header, contents))
    megapixels = [header.pixels / 1e6 for header in headers] or [0.0]
    return {
        "bytes_median": round(median(map(len, contents))),
        "megapixels_median": round(median(megapixels), 4),
    }
