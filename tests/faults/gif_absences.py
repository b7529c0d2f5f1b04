"""GIFs, and what they may lack; functions as in ``jpeg_absences``."""

import io
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from tests.faults.coded_absences import (
    Lacking,
    bytes_of_file,
    coded_absences,
    end_of_file,
    zeros_to_the_end,
)

Rng = np.random.Generator
Encode = Callable[[Image.Image], bytes]


def encoded(image: Image.Image, colours: int = 256, **options: Any) -> bytes:
    """Write a GIF the way Pillow does."""
    stream = io.BytesIO()
    image.quantize(colours).save(stream, format="GIF", **options)
    return stream.getvalue()


def animated(image: Image.Image) -> bytes:
    """Write three frames, of which the first one counts."""
    frames = [image.rotate(90 * k).quantize(64) for k in (1, 2)]
    stream = io.BytesIO()
    image.quantize(64).save(stream, format="GIF", save_all=True, append_images=frames)
    return stream.getvalue()


def _frame(content: bytes) -> tuple[int, int, int]:
    """Give where the first frame begins, and where its blocks do and end."""
    at = 13 + (3 * (2 << (content[10] & 7)) if content[10] & 0x80 else 0)
    while content[at] == 0x21:
        at = _behind(content, at + 2)
    data = at + 10 + (3 * (2 << (content[at + 9] & 7)) if content[at + 9] & 0x80 else 0)
    return at, data + 1, _behind(content, data + 1)


def _behind(content: bytes, at: int) -> int:
    while content[at]:
        at += content[at] + 1
    return at + 1


def _pieces(content: bytes) -> list[bytes]:
    _, at, _ = _frame(content)
    data = b""
    while content[at]:
        data += content[at + 1 : at + 1 + content[at]]
        at += content[at] + 1
    return [data]


def _with_pieces(content: bytes, pieces: list[bytes]) -> bytes:
    _, start, end = _frame(content)
    blocks = [pieces[0][k : k + 255] for k in range(0, len(pieces[0]), 255)]
    data = b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    return content[:start] + data + content[end:]


def palette(_: Rng, content: bytes) -> Lacking:
    """Leave out all palettes."""
    start, data, _ = _frame(content)
    table = 3 * (2 << (content[10] & 7)) if content[10] & 0x80 else 0
    head = content[:10] + bytes([content[10] & 0x78]) + content[11:13] + content[13 + table : start]
    frame = content[start : start + 9] + bytes([content[start + 9] & 0x40])
    return "palette", head + frame + content[data - 1 :]


def colours(_: Rng, content: bytes) -> Lacking:
    """Leave out the second half of the palette."""
    if not content[10] & 0x80:
        return None
    size = 3 * (2 << (content[10] & 7))
    head = content[:10] + bytes([content[10] - 1]) + content[11 : 13 + size // 2]
    return "half of the palette", head + content[13 + size :]


def by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim fewer rows or columns than there are, or more."""
    start, _, _ = _frame(content)
    k = int(rng.integers(2))
    (size,) = struct.unpack_from("<H", content, 6 + 2 * k)
    step = int(rng.integers(1, size // 2))
    claimed = size - step if rng.random() < 0.5 else size + step
    changed = bytearray(content)
    for place in (6, start + 5):
        struct.pack_into("<H", changed, place + 2 * k, claimed)
    return f"{claimed} for {size}", bytes(changed)


def part_of_screen(rng: Rng, content: bytes) -> Lacking:
    """Claim a screen that the first frame does not cover."""
    changed = bytearray(content)
    (size,) = struct.unpack_from("<H", content, 6)
    struct.pack_into("<H", changed, 6, size + int(rng.integers(1, 50)))
    return "right of the screen", bytes(changed)


GIF_ENCODINGS: dict[str, Encode] = {
    "256 colours": encoded,
    "interlaced": partial(encoded, interlace=1),
    "64 colours": partial(encoded, colours=64),
    "animated": animated,
}

GIF_ABSENCES = (
    *coded_absences(_pieces, _with_pieces),
    *(bytes_of_file, end_of_file, zeros_to_the_end),
    *(palette, colours, by_header, part_of_screen),
)
