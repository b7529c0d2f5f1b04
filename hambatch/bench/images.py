"""The images that are measured with: the user's own, or generated ones."""

import tempfile
from collections.abc import Iterator, Sequence
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
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_images
from hambatch.sources.entry import Entry
from hambatch.sources.listing import list_sources
from hambatch.sources.reading import Item, fetch
from hambatch.sources.reading_order import in_reading_order
from hambatch.sources.source import Sources, find_sources, folder_of_images

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
    entries
        Images of the ``sources``, in the order in which a run reads them.
    facts
        What the result says of them, read before anything is measured.
    """

    sources: Sources
    entries: tuple[Entry, ...]
    scratch: Path
    facts: dict[str, Any]

    def first(self, count: int) -> "BenchImages":
        """Leave out all but the first ``count``."""
        return replace(self, entries=self.entries[:count])

    def cycle(self, count: int) -> tuple[Entry, ...]:
        """Take ``count`` images, the first again after the last."""
        return tuple(self.entries[k % len(self.entries)] for k in range(count))

    def batches(self, count: int, size: int) -> tuple[tuple[Item, ...], ...]:
        """Cut ``count`` images into batches, the first again after the last."""
        items = [self.sources.item(k, entry) for k, entry in enumerate(self.cycle(count))]
        return tuple(tuple(items[start : start + size]) for start in range(0, count, size))


@contextmanager
def open_images(words: Sequence[Path], count: int, options: ScoreOptions) -> Iterator[BenchImages]:
    """Choose at most ``count`` images of sources that can be scored; without a word, draw some.

    Raises InputError if a source is missing, or none has an image that can be scored.
    """
    with tempfile.TemporaryDirectory(prefix="hambatch-bench-") as place:
        scratch, left_out = Path(place), 0
        if words:
            sources = find_sources(words)
            entries, left_out = _scorable(sources, count, options, scratch / "listing")
        else:
            folder = scratch / "images"
            entries = tuple(map(Entry, generate(folder, min(count, GENERATED_AT_MOST))))
            sources = folder_of_images(folder)
        facts = {"images": len(entries), "generated": not words, "left_out": left_out}
        images = BenchImages(sources, entries, scratch, facts)
        yield replace(images, facts=facts | _sizes(images))


def generate(folder: Path, count: int) -> tuple[str, ...]:
    """Write JPEGs, every one different, the same every time."""
    folder.mkdir()
    names = tuple(f"sample_{k:05d}.jpg" for k in range(count))
    for k, name in enumerate(names):
        pixels = synthesize(np.random.default_rng(k), WIDTH, HEIGHT)
        (folder / name).write_bytes(jpeg_of(pixels, QUALITY))
    return names


def _scorable(
    sources: Sources, count: int, options: ScoreOptions, listing: Path
) -> tuple[tuple[Entry, ...], int]:
    """Give the first ``count`` images that can be scored, and how many others were met."""
    listed = list_sources(sources, listing).entries()
    waiting = (entry for _, entry in in_reading_order(enumerate(listed)))
    # Reading alone and decoding alone, which are measured, have no bounds.
    anywhere, good, left_out = replace(sources, follow_symlinks=True), list[Entry](), 0
    while len(good) < count:
        wanted = max(count - len(good), CHECKED_AT_LEAST)
        if not (entries := list(islice(waiting, wanted))):
            break
        # As a run does it: a file that kills its decoder makes no other one fail.
        found = [row.status == "ok" for row in predict_images(anywhere, entries, options)]
        good += [entry for entry, is_good in zip(entries, found, strict=True) if is_good]
        left_out += found.count(False)
    if not good:
        raise InputError(
            f"none of the {left_out} images in {sources.named} can be scored.\n"
            f"Next: hambatch score {sources.quoted} --out preds.csv, whose rows say why"
        )
    return tuple(good[:count]), left_out


def _sizes(images: BenchImages) -> dict[str, float]:
    contents = [fetch(images.sources.item(0, entry)).content for entry in images.entries]
    headers = filter(None, map(read_header, contents))
    megapixels = [header.pixels / 1e6 for header in headers] or [0.0]
    return {
        "bytes_median": round(median(map(len, contents))),
        "megapixels_median": round(median(megapixels), 4),
    }
