"""What any file may lack whose pixels are coded in pieces: strips, tiles, frames or one stream.

A format gives two functions: one takes the pieces out of a file, the other writes the file with
others in their place, its lengths in order.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

Rng = np.random.Generator
Lacking = tuple[str, bytes] | None
LeaveOut = Callable[[Rng, bytes], Lacking]
Pieces = Callable[[bytes], list[bytes]]
Written = Callable[[bytes, list[bytes]], bytes]

SMALLEST = 320
"""Bytes of a piece of which a part is left out; a smaller one is flat."""

ZEROS = 64
"""The fewest zero bytes that stand in place of others."""


def coded_absences(
    pieces: Pieces, written: Written, zeros: int = ZEROS
) -> tuple[LeaveOut, LeaveOut, LeaveOut]:
    """Make the functions that leave out parts of a format's pieces, as in ``jpeg_absences``.

    ``zeros``: the fewest that stand in place of other bytes.
    """

    def changed(rng: Rng, content: bytes, change: Callable[[bytes], Lacking]) -> Lacking:
        found = pieces(content)
        large = [k for k, piece in enumerate(found) if len(piece) >= SMALLEST]
        if not large:
            return None
        k = large[int(rng.integers(len(large)))]
        if not (made := change(found[k])):
            return None
        what, found[k] = made
        return f"{what} of piece {k}", written(content, found)

    def end_of_piece(rng: Rng, content: bytes) -> Lacking:
        return changed(rng, content, partial(_without_end, rng))

    def bytes_of_piece(rng: Rng, content: bytes) -> Lacking:
        return changed(rng, content, partial(_without_bytes, rng))

    def zeros_in_piece(rng: Rng, content: bytes) -> Lacking:
        return changed(rng, content, partial(_with_zeros, rng, zeros))

    return end_of_piece, bytes_of_piece, zeros_in_piece


def _without_end(rng: Rng, piece: bytes) -> Lacking:
    left_out = int(rng.integers(8, len(piece) - 16))
    return f"last {left_out} bytes", piece[:-left_out]


def _without_bytes(rng: Rng, piece: bytes) -> Lacking:
    size = int(rng.integers(1, 200))
    place = int(rng.integers(32, len(piece) - size - 32))
    return f"{size} bytes from {place} on", piece[:place] + piece[place + size :]


def _with_zeros(rng: Rng, zeros: int, piece: bytes) -> Lacking:
    if len(piece) < zeros + 2 * SMALLEST:
        return None
    size = int(rng.integers(zeros, len(piece) - 64))
    place = int(rng.integers(32, len(piece) - size + 1))
    return f"{size} zeros from {place} on", piece[:place] + bytes(size) + piece[place + size :]


def bytes_of_file(rng: Rng, content: bytes) -> Lacking:
    """Leave out bytes in the middle of the file: all behind them is elsewhere than it says."""
    size = int(rng.integers(1, 200))
    place = int(rng.integers(len(content) // 3, len(content) - size))
    return f"{size} bytes from {place} on", content[:place] + content[place + size :]


def end_of_file(rng: Rng, content: bytes) -> Lacking:
    """Leave out the end of the file."""
    left_out = int(rng.integers(1, len(content) // 2))
    return f"last {left_out} bytes", content[:-left_out]


def zeros_to_the_end(rng: Rng, content: bytes) -> Lacking:
    """Put zeros in place of the end of the file, as where it was laid out before it was filled."""
    size = int(rng.integers(ZEROS, len(content) // 2))
    return f"{size} zeros at the end", content[:-size] + bytes(size)


def blocks_to_the_end(_: Rng, content: bytes) -> Lacking:
    """Put zeros in place of the last blocks of 4,096 bytes."""
    place = len(content) // 2 // 4096 * 4096 or 4096
    if len(content) < place + 4096 or not content[place - 1]:
        return None
    return f"zeros from byte {place} on", content[:place] + bytes(len(content) - place)


def one_block(_: Rng, content: bytes) -> Lacking:
    """Put zeros in place of one block of 4,096 bytes."""
    place = len(content) // 2 // 4096 * 4096 or 4096
    if len(content) < place + 4096 or not content[place - 1] or not content[place + 4096]:
        return None
    return f"zeros in block {place}", content[:place] + bytes(4096) + content[place + 4096 :]


def without(found: Sequence[bytes], k: int) -> list[bytes]:
    """Leave out one of several."""
    return [piece for n, piece in enumerate(found) if n != k]
