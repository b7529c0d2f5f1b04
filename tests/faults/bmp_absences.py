"""BMPs, and what they may lack; functions as in ``jpeg_absences``."""

import io
import struct
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from tests.faults.coded_absences import (
    Lacking,
    blocks_to_the_end,
    bytes_of_file,
    coded_absences,
    end_of_file,
    one_block,
)

Rng = np.random.Generator
Encode = Callable[[Image.Image], bytes]

_PLAIN, _RLE8 = 0, 1


def encoded(image: Image.Image, mode: str = "RGB") -> bytes:
    """Write a BMP the way Pillow does."""
    stream = io.BytesIO()
    image.convert(mode).save(stream, format="BMP")
    return stream.getvalue()


def with_palette(image: Image.Image, colours: int = 256) -> bytes:
    """Write colours of a palette, which holds no others."""
    stream = io.BytesIO()
    image.quantize(colours).save(stream, format="BMP")
    return stream.getvalue()


def run_lengths(image: Image.Image) -> bytes:
    """Write runs, and stretches of different pixels, as BMP's RLE8 has them."""
    few = image.quantize(24).resize(image.size)
    content = with_palette(few.convert("RGB"), 256)
    rows = np.asarray(Image.open(io.BytesIO(content)))[::-1]
    data = b"".join(_row(row.tolist()) + b"\0\0" for row in rows)[:-2] + b"\0\1"
    header = bytearray(content[: struct.unpack_from("<I", content, 10)[0]])
    struct.pack_into("<I", header, 30, _RLE8)
    return _sized(bytes(header), data)


def _row(row: list[int]) -> bytes:
    packed, k = b"", 0
    while k < len(row):
        run = next((n for n in range(k, min(k + 255, len(row))) if row[n] != row[k]), None)
        size = (run or min(k + 255, len(row))) - k
        if size > 2:
            packed, k = packed + bytes([size, row[k]]), k + size
            continue
        size = min(len(row) - k, 40)
        if size < 3:
            packed, k = packed + bytes([1, row[k]]), k + 1
            continue
        packed += bytes([0, size, *row[k : k + size]]) + bytes(size % 2)
        k += size
    return packed


def _sized(header: bytes, data: bytes) -> bytes:
    changed = bytearray(header)
    struct.pack_into("<I", changed, 2, len(header) + len(data))
    struct.pack_into("<I", changed, 34, len(data))
    return bytes(changed) + data


def _parts(content: bytes) -> tuple[bytes, bytes]:
    (start,) = struct.unpack_from("<I", content, 10)
    return content[:start], content[start:]


def _pieces(content: bytes) -> list[bytes]:
    return [_parts(content)[1]]


def _with_pieces(content: bytes, pieces: list[bytes]) -> bytes:
    return _sized(_parts(content)[0], pieces[0])


END_OF_PIECE, BYTES_OF_PIECE, _ZEROS = coded_absences(_pieces, _with_pieces)


def zeros_in_piece(rng: Rng, content: bytes) -> Lacking:
    """Put zeros into runs: in other pixels they are black."""
    return _ZEROS(rng, content) if content[30] == _RLE8 else None


def whole_blocks(rng: Rng, content: bytes) -> Lacking:
    """Put whole blocks of zeros into pixels that are not compressed, or at their end."""
    if content[30] != _PLAIN:
        return None
    return (one_block if rng.random() < 0.5 else blocks_to_the_end)(rng, content)


def by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim fewer rows or columns than there are, or more."""
    place = (18, 22)[int(rng.integers(2))]
    (size,) = struct.unpack_from("<i", content, place)
    step = int(rng.integers(8, size // 2))
    claimed = size - step if rng.random() < 0.5 else size + step
    changed = bytearray(content)
    struct.pack_into("<i", changed, place, claimed)
    return f"{claimed} for {size} (byte {place})", bytes(changed)


def colours(_: Rng, content: bytes) -> Lacking:
    """Leave out the last colours of the palette; the pixels stay."""
    header, data = _parts(content)
    if content[28] != 8:
        return None
    changed = bytearray(header[: 54 + 4 * 20])
    struct.pack_into("<I", changed, 10, len(changed))
    struct.pack_into("<I", changed, 46, 20)
    return "colours after 20", _sized(bytes(changed), data)


BMP_ENCODINGS: dict[str, Encode] = {
    "24 bits": encoded,
    "run lengths": run_lengths,
    "palette": with_palette,
    "32 bits": partial(encoded, mode="RGBA"),
    "grey": partial(encoded, mode="L"),
}

BMP_ABSENCES = (
    *(END_OF_PIECE, BYTES_OF_PIECE, zeros_in_piece, whole_blocks, bytes_of_file, end_of_file),
    *(by_header, colours),
)
