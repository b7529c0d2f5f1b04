"""Folders of JPEGs to measure on: found, generated, resized, or links to fewer."""

import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hambatch.engines.synthetic import synthesize

SUFFIXES = {".jpg", ".jpeg"}

A_FOLDER = 1000

SENSOR_NOISE = 3.0
"""Standard deviation in levels of 256."""


def pictures(images: Path | None, place: Path, count: int) -> list[Path]:
    """Find up to ``count`` JPEGs below ``images``, in order of their names, or draw them."""
    if images is None:
        return drawn(place, count)
    found = sorted(path for path in images.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"{images} holds no JPEG\nNext: name a folder that does, or leave it out")
    return found[:count]


def drawn(place: Path, count: int) -> list[Path]:
    """Write 600x450 JPEGs of quality 95, every one different."""
    place.mkdir(parents=True)
    paths = [place / f"drawn_{k:05d}.jpg" for k in range(count)]
    for k, path in enumerate(paths):
        Image.fromarray(synthesize(np.random.default_rng(k), 600, 450)).save(path, quality=95)
    return paths


def originals(place: Path, count: int) -> list[Path]:
    """Write 600x450 JPEGs as a camera leaves them, some 260 kB each, every one different.

    Quality 98 with full chroma, and noise of a sensor, each channel its own, which is what
    takes the room.
    """
    place.mkdir(parents=True)
    paths = [place / f"original_{k:05d}.jpg" for k in range(count)]

    def draw(k: int) -> None:
        rng = np.random.default_rng(k)
        noise = SENSOR_NOISE * rng.standard_normal((450, 600, 3), dtype=np.float32)
        pixels = np.clip(synthesize(rng, 600, 450) + noise + 0.5, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(paths[k], quality=98, subsampling=0)

    with ThreadPoolExecutor() as pool:
        list(pool.map(draw, range(count)))
    return paths


def filled(folder: Path, found: list[Path], count: int) -> tuple[str, ...]:
    """Fill a tree with ``count`` files, hard links to copies of the few; give their names."""
    copies = folder.with_name(f"{folder.name}_copies")
    copies.mkdir(parents=True)
    for k, path in enumerate(found):
        (copies / f"{k}.jpg").write_bytes(path.read_bytes())
    names = tuple(f"{k // A_FOLDER:04d}/image_{k:07d}.jpg" for k in range(count))
    for k, name in enumerate(names):
        if k % A_FOLDER == 0:
            (folder / name).parent.mkdir(parents=True)
        os.link(copies / f"{k % len(found)}.jpg", folder / name)
    return names


def resized(found: list[Path], place: Path, width: int, height: int) -> list[Path]:
    """Write the pictures at another size, as JPEGs of quality 90."""
    place.mkdir(parents=True)
    paths = [place / f"{k:05d}.jpg" for k in range(len(found))]
    for source, path in zip(found, paths, strict=True):
        with Image.open(source) as image:
            larger = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        larger.save(path, quality=90)
    return paths


def described(found: list[Path]) -> dict[str, Any]:
    """What kind of pictures they are."""
    sizes = []
    for path in found:
        with Image.open(path) as image:
            sizes.append(image.width * image.height / 1e6)
    return {
        "distinct_images": len(found),
        "image_bytes_median": statistics.median(path.stat().st_size for path in found),
        "megapixels_median": round(statistics.median(sizes), 3),
    }
