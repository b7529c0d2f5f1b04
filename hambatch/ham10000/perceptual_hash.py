"""Images that look the same whatever their encoding: perceptual hash, thumbnails, search."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.options import RULES
from hambatch.pipelines.scoring import build_pipeline
from hambatch.sources.content import HEAD_BYTES, image_format
from hambatch.sources.reading import Bounds, Fetched, Item, Limits, fetch
from hambatch.system.array_cache import FeatureCache, Pair, default_cache
from hambatch.system.cpu import available_cores
from hambatch.system.files import sha256_of_bytes
from hambatch.types import on_host

SIDE = 32
"""Of a thumbnail, as in the method's definition."""

LOWEST = 8
"""Frequencies that are kept in each direction: 8 x 8 bits."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Grey from RGB as JPEG defines it (ITU-R BT.601)."""


def grey_thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average blocks of RGB images ``[n, 224, 224, 3]``; gives uint8 ``[n, 32, 32]``.

    The sides of the images have to be multiples of 32.
    """
    n, height, width, _ = images.shape
    grey = images.astype(np.float32) @ LUMA
    blocks = grey.reshape(n, SIDE, height // SIDE, SIDE, width // SIDE).mean(axis=(2, 4))
    found: NDArray[np.uint8] = blocks.round().astype(np.uint8)
    return found


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hash grey thumbnails ``[n, 32, 32]`` [1]_: uint64 ``[n]``.

    A bit says whether one of the 64 lowest coefficients of the thumbnail's discrete cosine
    transform is above their median, mean brightness left out. Similar images differ in few bits.

    References
    ----------
    .. [1] Zauner: Implementation and Benchmarking of Perceptual Image Hash Functions, master's
       thesis, Hagenberg (2010), 3.2.1, https://www.phash.org/docs/pubs/thesis_zauner.pdf
    """
    at, frequency = np.arange(SIDE), np.arange(LOWEST)[:, None]
    cosines = np.cos(np.pi * (2 * at + 1) * frequency / (2 * SIDE))
    lowest = (cosines @ thumbnails.astype(np.float64) @ cosines.T).reshape(-1, LOWEST**2)
    median = np.median(lowest[:, 1:], axis=1, keepdims=True)
    found: NDArray[np.uint64] = np.packbits(lowest > median, axis=1).view(np.uint64).ravel()
    return found


VERSION = 1
"""Raise it when the same file gives another thumbnail."""

BATCH = 256
"""Files that are decoded, and kept, at a time."""

LIMITS = Limits(max_bytes=64_000_000, max_pixels=100_000_000)

Thumbnails = dict[str, NDArray[np.uint8]]
"""Grey ``[32, 32]`` by the sha256 of the file's bytes."""


def thumbnails(files: Mapping[str, Path | Item]) -> Thumbnails:
    """Decode files, by the sha256 of their bytes, as scoring does; each file once.

    An item may lie in an archive. Files are read in the order in which they come.

    Thumbnails are kept in the user's cache folder, a kilobyte each: the comparison needs them, so
    a cache of hashes is not enough. A file that is unreadable, or has changed, has none.
    """
    key = {
        "version": VERSION,
        "rules": RULES,
        "input": asdict(InputSpec()),
        "preprocessing": asdict(Preprocessing()),
    }
    digest = sha256_of_bytes(json.dumps(key, sort_keys=True).encode())[:24]
    folder = default_cache().with_name("thumbnails") / digest
    cache = FeatureCache(folder, SIDE * SIDE, np.dtype(np.uint8))
    missing = {sha256: path for sha256, path in files.items() if Pair(sha256, 0) not in cache}
    for hashes, pixels in _decoded(missing):
        cache.append([Pair(sha256, 0) for sha256 in hashes], pixels)
    known = [sha256 for sha256 in files if Pair(sha256, 0) in cache]
    rows = cache.read([Pair(sha256, 0) for sha256 in known])
    return dict(zip(known, rows.reshape(-1, SIDE, SIDE), strict=True))


def _decoded(files: Mapping[str, Path | Item]) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Yield hashes and flat thumbnails ``[n, 1024]``, a batch at a time."""
    if not files:
        return
    pipeline = build_pipeline(
        BATCH, available_cores(), 2, InputSpec(), Preprocessing(), limits=LIMITS
    )
    names = list(files)
    starts = range(0, len(names), BATCH)
    batches = pipeline.batches(_fetched(names[k : k + BATCH], files) for k in starts)
    for batch in tqdm(batches, "thumbnails", len(starts), unit=" batches", disable=None):
        images = grey_thumbnails(on_host(batch.images))
        if len(images):
            yield list(batch.sha256), images.reshape(len(images), -1)


def _fetched(hashes: Sequence[str], files: Mapping[str, Path | Item]) -> list[Fetched]:
    bounds = Bounds(limits=LIMITS)
    found = [fetch(_item(index, files[sha256]), bounds) for index, sha256 in enumerate(hashes)]
    # A hash stands for its bytes; what lies in that file now may be another image. The header of a
    # DICOM file is parsed in no process that a file must not end.
    return [
        file
        for file, sha256 in zip(found, hashes, strict=True)
        if file.sha256 == sha256 and image_format(file.content[:HEAD_BYTES]) != "dicom"
    ]


def _item(index: int, file: Path | Item) -> Item:
    return replace(file, index=index) if isinstance(file, Item) else Item(index, file)


MOST_BITS = 6
"""Bits in which the hashes of two near-duplicates may differ."""

LEAST_CORRELATION = 0.98
"""Of the thumbnails of two near-duplicates.

Both measured on HAM10000 by ``benchmarks/near_duplicates.py``: copies that were compressed anew,
or scaled by 0.5 to 2, differ in 4 bits at most and correlate by 0.995 at least; of 18 million pairs
of different lesions 405 differ in 6 bits at most, and none of these correlates by more than 0.965.
"""

ROWS = 512
"""Hashes that are compared with all others at once."""


class Signatures(NamedTuple):
    """Hashes uint64 ``[n]``, and thumbnails float32 ``[n, 1024]`` of mean 0 and length 1.

    Or what :func:`packed` keeps of these, ``[n, 54]``.
    """

    hashes: NDArray[np.uint64]
    shapes: NDArray[np.float32]


def signatures_of(thumbnails: NDArray[np.uint8]) -> Signatures:
    """Prepare grey thumbnails ``[n, 32, 32]`` to be compared; one of a single grey matches none."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    centred = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    shapes = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return Signatures(perceptual_hashes(thumbnails), shapes)


def near_pairs(
    first: Signatures,
    second: Signatures,
    least: float = LEAST_CORRELATION,
    most_bits: int = MOST_BITS,
) -> NDArray[np.int64]:
    """Find the pairs that look the same: int64 ``[m, 2]``, a place in each, in order."""
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(first.hashes), ROWS):
        rows = first.hashes[start : start + ROWS, None]
        at, other = np.nonzero(np.bitwise_count(rows ^ second.hashes) <= most_bits)
        at += start
        correlation = np.einsum("ij,ij->i", first.shapes[at], second.shapes[other])
        found.append(np.column_stack([at, other])[correlation >= least])
    return np.concatenate(found)


KEPT = 54
"""Frequencies of a packed thumbnail: all below the tenth diagonal, mean brightness left out."""

PACKED_BYTES = 8 + KEPT
"""A perceptual hash, and a byte a frequency."""

LEAST_PACKED_CORRELATION = 0.986
"""Of the packed thumbnails of two near-duplicates.

Measured likewise: all pairs of HAM10000 are found whose whole thumbnails correlate by 0.98, the
least at 0.988; of 18 million pairs of different lesions none within 6 bits is above 0.984.
"""


def packed(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep of grey thumbnails ``[n, 32, 32]`` what a comparison needs: uint8 ``[n, 62]``.

    A thumbnail has 1,024 bytes. Its hash has 8; a byte each have its lowest frequencies, whatever
    its brightness and contrast.
    """
    from scipy.fft import dctn

    centred = thumbnails - thumbnails.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    length = np.linalg.norm(centred, axis=(1, 2), keepdims=True)
    shapes = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    down, across = np.unravel_index(np.arange(SIDE**2), (SIDE, SIDE))
    lowest = np.argsort(down + across, kind="stable")[1 : KEPT + 1]
    values = dctn(shapes, axes=(1, 2), norm="ortho").reshape(-1, SIDE**2)[:, lowest]
    levels = (values * 127).round().astype(np.int8).view(np.uint8)
    return np.hstack([perceptual_hashes(thumbnails).view(np.uint8).reshape(-1, 8), levels])


def unpacked(rows: NDArray[np.uint8]) -> Signatures:
    """Prepare packed thumbnails ``[n, 62]`` to be compared by ``LEAST_PACKED_CORRELATION``."""
    hashes = np.ascontiguousarray(rows[:, :8]).view(np.uint64).ravel()
    levels = np.ascontiguousarray(rows[:, 8:]).view(np.int8).astype(np.float32)
    length = np.linalg.norm(levels, axis=1, keepdims=True)
    shapes = np.divide(levels, length, out=np.zeros_like(levels), where=length > 0)
    return Signatures(hashes, shapes)


def pairs_apart(signatures: Signatures, sides: Sequence[str]) -> NDArray[np.int64]:
    """Find the pairs within one set whose sides differ, each once, the lower place first."""
    pairs = near_pairs(signatures, signatures)
    low, high = pairs.T
    _, codes = np.unique(np.array(list(sides), str), return_inverse=True)
    kept: NDArray[np.int64] = pairs[(low < high) & (codes[low] != codes[high])]
    return kept
