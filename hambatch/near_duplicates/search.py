"""Pairs of pictures that look the same, among tens of thousands, in seconds."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.near_duplicates.perceptual_hash import perceptual_hashes

MOST_BITS = 6
"""Bits in which two hashes may differ for a second look."""

LEAST_CORRELATION = 0.98
"""Of the thumbnails of two near-duplicates.

Both measured on HAM10000 by ``benchmarks/near_duplicates.py``: copies that were compressed anew,
or scaled by 0.5 to 2, differ in 4 bits at most and correlate by 0.995 at least; of 18 million pairs
of different lesions 405 differ in 6 bits at most, and none of these correlates by more than 0.965.
"""

ROWS = 512
"""Hashes that are compared with all others at once."""


class Looks(NamedTuple):
    """Hashes uint64 ``[n]``, and thumbnails float32 ``[n, 1024]`` of mean 0 and length 1."""

    hashes: NDArray[np.uint64]
    shapes: NDArray[np.float32]


def looks_of(thumbnails: NDArray[np.uint8]) -> Looks:
    """Prepare grey thumbnails ``[n, 32, 32]`` to be compared; a plain one is like none."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    centred = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    shapes = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    return Looks(perceptual_hashes(thumbnails), shapes)


def near_pairs(first: Looks, second: Looks) -> NDArray[np.int64]:
    """Find the pairs that look the same: int64 ``[m, 2]``, a place in each, in order."""
    found = [_confirmed(first, second, pairs) for pairs in _candidates(first, second)]
    return np.concatenate([np.empty((0, 2), np.int64), *found])


def pairs_apart(looks: Looks, sides: Sequence[str]) -> NDArray[np.int64]:
    """Find the pairs within one set whose sides differ, each once, the lower place first."""
    pairs = near_pairs(looks, looks)
    low, high = pairs.T
    _, codes = np.unique(np.array(list(sides), str), return_inverse=True)
    kept: NDArray[np.int64] = pairs[(low < high) & (codes[low] != codes[high])]
    return kept


def _candidates(first: Looks, second: Looks) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(first.hashes), ROWS):
        rows = first.hashes[start : start + ROWS, None]
        at, other = np.nonzero(np.bitwise_count(rows ^ second.hashes) <= MOST_BITS)
        yield np.column_stack([at + start, other])


def _confirmed(first: Looks, second: Looks, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    at, other = pairs.T
    correlation = np.einsum("ij,ij->i", first.shapes[at], second.shapes[other])
    kept: NDArray[np.int64] = pairs[correlation >= LEAST_CORRELATION]
    return kept
