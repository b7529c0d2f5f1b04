"""TIFFs that lack one part; functions as in ``jpeg_absences``."""

import struct

import numpy as np

from tests.faults.coded_absences import (
    Lacking,
    bytes_of_file,
    coded_absences,
    end_of_file,
    one_block,
    without,
)
from tests.faults.tiff_writing import Taken, taken, written

Rng = np.random.Generator

_WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _COLOURS = 256, 257, 259, 262, 320
_TILE_WIDTH = 322
_PLAIN, _JPEG, _PALETTE = 1, 7, 3


def pieces_of(content: bytes) -> list[bytes]:
    """Give what a file holds of compressed pixels, in pieces."""
    return taken(content).pieces


def with_pieces(content: bytes, pieces: list[bytes]) -> bytes:
    """Write a file with other pieces, its lengths in order."""
    return written(taken(content)._replace(pieces=pieces))


def _number(parts: Taken, tag: int) -> int:
    kind, _, data = parts.tags[tag]
    return int(struct.unpack(f"{parts.order}{'H' if kind == 3 else 'I'}", data[: 2 * kind - 4])[0])


def piece(rng: Rng, content: bytes) -> Lacking:
    """Leave out a strip or a tile, and its place in the list."""
    parts = taken(content)
    k = int(rng.integers(len(parts.pieces)))
    rest = without(parts.pieces, k)
    return f"piece {k} of {len(parts.pieces)}", written(parts._replace(pieces=rest))


def piece_elsewhere(rng: Rng, content: bytes) -> Lacking:
    """Leave out a strip or a tile: its place is none, as in sparse files, or behind the file."""
    parts = taken(content)
    k = int(rng.integers(len(parts.pieces)))
    place = 0 if rng.random() < 0.5 else 1 << 24
    rest = [b"" if n == k and not place else p for n, p in enumerate(parts.pieces)]
    if place:
        rest[k] = rest[k][:2]
    return f"piece {k}, at {place}", written(parts._replace(pieces=rest), {k: place})


END_OF_PIECE, _BYTES_OF_PIECE, _ZEROS_IN_PIECE = coded_absences(pieces_of, with_pieces)


def bytes_of_piece(rng: Rng, content: bytes) -> Lacking:
    """Leave out bytes in the middle of a piece, unless it is a JPEG: that is damage."""
    if _number(taken(content), _COMPRESSION) == _JPEG:
        return None
    return _BYTES_OF_PIECE(rng, content)


def zeros_in_piece(rng: Rng, content: bytes) -> Lacking:
    """Put zeros into a piece that is compressed: in others they are black pixels."""
    if _number(taken(content), _COMPRESSION) == _PLAIN:
        return None
    return _ZEROS_IN_PIECE(rng, content)


def whole_blocks(rng: Rng, content: bytes) -> Lacking:
    """Put whole blocks of zeros into pixels that are not compressed."""
    if _number(taken(content), _COMPRESSION) != _PLAIN:
        return None
    parts = taken(content)
    # The tags first, so that the pixels are the end.
    return one_block(rng, written(parts))


def by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim fewer rows or columns than there are, or more."""
    parts = taken(content)
    tag = (_WIDTH, _HEIGHT)[int(rng.integers(2))]
    size = _number(parts, tag)
    step = int(rng.integers(1, size // 2))
    claimed = size - step if rng.random() < 0.5 else size + step
    tags = parts.tags | {tag: (4, 1, struct.pack(f"{parts.order}I", claimed))}
    tile = _number(parts, _TILE_WIDTH) if parts.tiled else 1
    if -(-claimed // tile) == -(-size // tile):
        # What a tile holds beyond the picture may be pixels or not.
        return None
    return f"{claimed} for {size} (tag {tag})", written(parts._replace(tags=tags))


def colours(_: Rng, content: bytes) -> Lacking:
    """Leave out the last colours of the palette."""
    parts = taken(content)
    if _number(parts, _PHOTOMETRIC) != _PALETTE:
        return None
    kind, count, data = parts.tags[_COLOURS]
    tags = parts.tags | {_COLOURS: (kind, count // 2, data[: len(data) // 2])}
    return "half of the palette", written(parts._replace(tags=tags))


TIFF_ABSENCES = (
    *(END_OF_PIECE, bytes_of_piece, zeros_in_piece, whole_blocks, piece, piece_elsewhere),
    *(bytes_of_file, end_of_file),
    by_header,
    colours,
)
