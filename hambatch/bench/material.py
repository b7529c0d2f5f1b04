"""The images that are measured with: the user's own, or generated ones."""

import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hambatch.engines.synthetic import synthesize
from hambatch.errors import InputError
from hambatch.pipelines.header import read_header
from hambatch.score.options import ScoreOptions
from hambatch.score.rows import predict_files
from hambatch.sources.listing import list_images
from hambatch.sources.reading import Item

WIDTH, HEIGHT, QUALITY = 600, 450, 95
"""Of generated JPEGs: those of HAM10000."""


GENERATED_AT_MOST = 64
"""More are the same ones again."""


CHECKED_AT_LEAST = 32
"""Images that are looked at together: each time starts a worker."""


@dataclass(frozen=True)
class Material:
    """Images that can be scored; ``scratch`` is a folder that goes with them.

    Attributes
    ----------
    names
        Relative to ``root``, in the order of a run.
    left_out
        Broken files among those that were looked at.
    facts
        What the result says of them, read before anything is measured.
    """

    root: Path
    names: tuple[str, ...]
    scratch: Path
    generated: bool = False
    left_out: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def items(self, count: int) -> list[Item]:
        """Give ``count`` files with their indices, the first again after the last."""
        return [Item(k, self.root / self.names[k % len(self.names)]) for k in range(count)]

    def first(self, count: int) -> "Material":
        """Leave out all but the first ``count``."""
        return replace(self, names=self.names[:count])

    def groups(self, count: int, size: int) -> list[list[Item]]:
        """Cut these into groups."""
        items = self.items(count)
        return [items[start : start + size] for start in range(0, count, size)]

    def with_facts(self) -> "Material":
        """Read every file once more, for what the result says about them."""
        contents = [(self.root / name).read_bytes() for name in self.names]
        headers = [read_header(content) for content in contents]
        sizes = [header.pixels / 1e6 for header in headers if header]
        facts = {
            "images": len(self.names),
            "generated": self.generated,
            "left_out": self.left_out,
            "bytes_median": round(statistics.median(map(len, contents))),
            "megapixels_median": round(statistics.median(sizes or [0.0]), 4),
        }
        return replace(self, facts=facts)


@contextmanager
def open_material(source: Path | None, count: int, options: ScoreOptions) -> Iterator[Material]:
    """Choose at most ``count`` images of a folder that can be scored, or draw some.

    Raises
    ------
    InputError
        If the folder is missing, or holds no image that can be scored.
    """
    with tempfile.TemporaryDirectory(prefix="hambatch-bench-") as place:
        scratch = Path(place)
        if source is None:
            names = generate(scratch / "images", min(count, GENERATED_AT_MOST))
            yield Material(scratch / "images", names, scratch, generated=True).with_facts()
        else:
            yield _good(source, count, options, scratch).with_facts()


def generate(folder: Path, count: int) -> tuple[str, ...]:
    """Write JPEGs, every one different, the same every time."""
    folder.mkdir()
    names = tuple(f"sample_{k:05d}.jpg" for k in range(count))
    for k, name in enumerate(names):
        picture = Image.fromarray(synthesize(np.random.default_rng(k), WIDTH, HEIGHT))
        picture.save(folder / name, quality=QUALITY)
    return names


def _good(source: Path, count: int, options: ScoreOptions, scratch: Path) -> Material:
    listing = list_images(source, scratch / "listing")
    waiting, good, left_out = iter(listing), list[str](), 0
    while len(good) < count:
        wanted = max(count - len(good), CHECKED_AT_LEAST)
        if not (names := list(islice(waiting, wanted))):
            break
        # By the path of a run: a file that kills its decoder costs nobody but itself.
        found = [row.status == "ok" for row in predict_files(source, names, options)]
        good += [name for name, is_good in zip(names, found, strict=True) if is_good]
        left_out += found.count(False)
    if not good:
        raise InputError(
            f"none of the {left_out} images in {source} can be scored.\n"
            f"Next: hambatch score {source} --out preds.csv, whose rows say why"
        )
    return Material(source, tuple(good[:count]), scratch, left_out=left_out)
