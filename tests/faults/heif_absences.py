"""HEICs and AVIFs, and what they may lack; functions as in ``jpeg_absences``."""

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

_FRAME = 6


def avif(image: Image.Image, **options: Any) -> bytes:
    """Write an AVIF the way Pillow does."""
    stream = io.BytesIO()
    image.save(stream, format="AVIF", speed=8, **options)
    return stream.getvalue()


def heic(image: Image.Image, **options: Any) -> bytes:
    """Write a HEIC the way pillow-heif does."""
    import pillow_heif

    stream, exif = io.BytesIO(), options.pop("exif", None)
    file = pillow_heif.from_pillow(image)
    if exif:
        # Turned by the format itself then, as telephones do it.
        file.info["exif"] = exif
    file.save(stream, **options)
    return stream.getvalue()


def _box(content: bytes, kind: bytes) -> tuple[int, int]:
    """Give where the content of a box of the list begins and ends."""
    at = content.index(kind)
    return at + 4, at - 4 + int.from_bytes(content[at - 4 : at])


def _places(content: bytes) -> dict[int, tuple[int, int, int]]:
    """Give for each item of one extent where its place is written, its place and its size."""
    start, end = _box(content, b"iloc")
    wide = content[start] > 0
    base = content[start + 5] >> 4
    found, at = {}, start + 8
    while at < end:
        (item,) = struct.unpack_from(">H", content, at)
        at += 4 + 2 * wide
        place = int.from_bytes(content[at : at + base])
        at += base + 2
        more, size = struct.unpack_from(">II", content, at)
        found[item] = at, place + more, size
        at += 8
    return found


def _kinds(content: bytes) -> dict[int, bytes]:
    start, end = _box(content, b"iinf")
    found, at = {}, start + 6
    while at < end:
        (item,) = struct.unpack_from(">H", content, at + 12)
        found[item] = content[at + 16 : at + 20]
        at += int.from_bytes(content[at : at + 4])
    return found


def _coded(content: bytes) -> list[int]:
    return [item for item, kind in _kinds(content).items() if kind in (b"hvc1", b"av01")]


def _with_items(content: bytes, others: dict[int, bytes]) -> bytes:
    """Write other data for items, behind all that is there."""
    changed, more = bytearray(content), b""
    base = content[_box(content, b"iloc")[0] + 5] >> 4
    for item, (at, _, _) in _places(content).items():
        if item in others:
            place = len(content) + 8 + len(more)
            struct.pack_into(">II", changed, at, place, len(others[item]))
            if base:
                struct.pack_into(">I", changed, at - 2 - base, 0)
            more += others[item]
    return bytes(changed) + struct.pack(">I", len(more) + 8) + b"mdat" + more


def _items(content: bytes) -> dict[int, bytes]:
    places = _places(content)
    return {k: content[places[k][1] : places[k][1] + places[k][2]] for k in _coded(content)}


def _units(data: bytes, kind: bytes) -> list[tuple[bytes, bytes]]:
    """Take coded pixels apart: what stands before a length, and the unit that has it."""
    found, at = [], 0
    while at < len(data):
        if kind == b"hvc1":
            size = int.from_bytes(data[at : at + 4])
            found.append((b"", data[at + 4 : at + 4 + size]))
            at += 4 + size
            continue
        head, size, shift, at = data[at : at + 1], 0, 0, at + 1
        while True:
            byte, at = data[at], at + 1
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        found.append((head, data[at : at + size]))
        at += size
    return found


def _joined(units: list[tuple[bytes, bytes]], kind: bytes) -> bytes:
    data = b""
    for head, unit in units:
        if kind == b"hvc1":
            data += struct.pack(">I", len(unit)) + unit
            continue
        size, length = b"", len(unit)
        while length > 127:
            size, length = size + bytes([length & 127 | 128]), length >> 7
        data += head + size + bytes([length]) + unit
    return data


def pieces_of(content: bytes) -> list[bytes]:
    """Give the largest unit of each tile."""
    kinds = _kinds(content)
    return [
        max((unit for _, unit in _units(data, kinds[item])), key=len)
        for item, data in _items(content).items()
    ]


def with_pieces(content: bytes, pieces: list[bytes]) -> bytes:
    """Write a file with other pieces, its lengths in order."""
    kinds, others = _kinds(content), {}
    before = pieces_of(content)
    for (item, data), old, new in zip(_items(content).items(), before, pieces, strict=True):
        if old != new:
            units = _units(data, kinds[item])
            units = [(head, new if unit == old else unit) for head, unit in units]
            others[item] = _joined(units, kinds[item])
    return _with_items(content, others)


def item_elsewhere(rng: Rng, content: bytes) -> Lacking:
    """Leave out a tile, or the picture: it is said to lie behind the file."""
    items = _coded(content)
    chosen = items[int(rng.integers(len(items)))]
    at, _, size = _places(content)[chosen]
    changed = bytearray(content)
    struct.pack_into(">I", changed, at, len(content) - size // 2)
    return f"half of item {chosen}", bytes(changed)


def tile(_: Rng, content: bytes) -> Lacking:
    """Leave out the last tile from the list of tiles."""
    at = content.find(b"dimg")
    if at < 0:
        return None
    changed = bytearray(content)
    (count,) = struct.unpack_from(">H", content, at + 6)
    struct.pack_into(">H", changed, at + 6, count - 1)
    return f"tile {count}", bytes(changed)


AVIF_ENCODINGS: dict[str, Encode] = {
    "lossy": partial(avif, quality=80),
    "all colours": partial(avif, quality=95, subsampling="4:4:4"),
    "tiles of AV1": partial(avif, quality=90, tile_rows=1, tile_cols=1),
}

HEIC_ENCODINGS: dict[str, Encode] = {
    "lossy": partial(heic, quality=80),
    "tiles": partial(heic, quality=80, tile_size=64),
    "lossless": partial(heic, quality=-1, chroma=444),
}

END_OF_PIECE, _, ZEROS_IN_PIECE = coded_absences(pieces_of, with_pieces)
_, _, SECTORS_IN_PIECE = coded_absences(pieces_of, with_pieces, zeros=512)

_OF_BOTH = (bytes_of_file, end_of_file, zeros_to_the_end, item_elsewhere)

AVIF_ABSENCES = (END_OF_PIECE, SECTORS_IN_PIECE, *_OF_BOTH)
HEIC_ABSENCES = (END_OF_PIECE, ZEROS_IN_PIECE, *_OF_BOTH, tile)
