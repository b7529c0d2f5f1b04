"""Grey thumbnails of image files as the engine sees them, decoded once and kept."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hambatch.batches import on_host
from hambatch.cores import available_cores
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.hashing import sha256_of_bytes
from hambatch.limits import Limits
from hambatch.near_duplicates.perceptual_hash import SIDE, grey_thumbnails
from hambatch.pipelines.scoring import build_pipeline
from hambatch.sources.reading import Bounds, Fetched, Item, fetch
from hambatch.training.feature_cache import FeatureCache, Pair, default_cache

VERSION = 1
"""Raise it when the same file gives another thumbnail."""

BATCH = 256
"""Files that are decoded, and kept, at a time."""

LIMITS = Limits(max_bytes=64_000_000, max_pixels=100_000_000)

Thumbnails = dict[str, NDArray[np.uint8]]
"""Grey ``[32, 32]`` by the sha256 of the file's bytes."""


def thumbnails(files: Mapping[str, Path]) -> Thumbnails:
    """Decode the files as scoring does, those that were not decoded before.

    Thumbnails are kept in the user's cache folder, a kilobyte each: the second look needs them,
    so hashes in a table would not do.

    Parameters
    ----------
    files
        Path of every image, by the sha256 of its bytes.

    Returns
    -------
    Thumbnails. There is none of a file that cannot be read or decoded or has other bytes by now:
    whoever needs it will refuse it by name.
    """
    cache = FeatureCache(_folder(), SIDE * SIDE, np.dtype(np.uint8))
    missing = {sha256: path for sha256, path in files.items() if Pair(sha256, 0) not in cache}
    for hashes, pixels in _decoded(missing):
        cache.append([Pair(sha256, 0) for sha256 in hashes], pixels)
    known = [sha256 for sha256 in files if Pair(sha256, 0) in cache]
    rows = cache.read([Pair(sha256, 0) for sha256 in known])
    return dict(zip(known, rows.reshape(-1, SIDE, SIDE), strict=True))


def _folder() -> Path:
    key = {
        "version": VERSION,
        "input": asdict(InputSpec()),
        "preprocessing": asdict(Preprocessing()),
    }
    digest = sha256_of_bytes(json.dumps(key, sort_keys=True).encode())[:24]
    return default_cache().with_name("thumbnails") / digest


def _decoded(files: Mapping[str, Path]) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Yield hashes and flat thumbnails ``[n, 1024]``, a batch at a time."""
    if not files:
        return
    pipeline = build_pipeline(
        BATCH, available_cores(), 2, InputSpec(), Preprocessing(), limits=LIMITS
    )
    names = list(files)
    groups = (names[start : start + BATCH] for start in range(0, len(names), BATCH))
    batches = pipeline.batches(_fetched(group, files) for group in groups)
    total = -(-len(names) // BATCH)
    for batch in tqdm(batches, desc="thumbnails", unit=" batches", total=total, disable=None):
        images = grey_thumbnails(on_host(batch.images))
        if len(images):
            yield list(batch.sha256), images.reshape(len(images), -1)


def _fetched(group: Sequence[str], files: Mapping[str, Path]) -> list[Fetched]:
    bounds = Bounds(limits=LIMITS)
    found = [fetch(Item(index, files[sha256]), bounds) for index, sha256 in enumerate(group)]
    # A hash stands for its bytes; what lies in that file now may be another picture.
    return [file for file, sha256 in zip(found, group, strict=True) if file.sha256 == sha256]
