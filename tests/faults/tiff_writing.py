"""TIFFs in strips and tiles, as Pillow writes them or piece by piece."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Encode = Callable[[Image.Image], bytes]

STRIPS, STRIP_BYTES, TILES, TILE_BYTES = 273, 279, 324, 325
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 10: 8, 11: 4, 12: 8}


class Taken(NamedTuple):
    """A TIFF of one page taken apart: byte order, tags but for those of its pieces, and pieces."""

    order: str
    tags: dict[int, tuple[int, int, bytes]]
    pieces: list[bytes]
    tiled: bool


def taken(content: bytes) -> Taken:
    """Take a whole TIFF of one page apart."""
    order = "<" if content.startswith(b"II") else ">"
    (place,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, place)
    tags = {}
    for k in range(count):
        entry = place + 2 + 12 * k
        tag, kind, number = struct.unpack_from(f"{order}HHI", content, entry)
        size, at = number * _SIZES[kind], entry + 8
        if size > 4:
            (at,) = struct.unpack_from(f"{order}I", content, at)
        tags[tag] = kind, number, content[at : at + size]
    tiled = TILES in tags
    starts, sizes = (_numbers(order, tags.pop(tag)) for tag in _of_pieces(tiled))
    pieces = [content[a : a + size] for a, size in zip(starts, sizes, strict=True)]
    return Taken(order, tags, pieces, tiled)


def _of_pieces(tiled: bool) -> tuple[int, int]:
    return (TILES, TILE_BYTES) if tiled else (STRIPS, STRIP_BYTES)


def _numbers(order: str, entry: tuple[int, int, bytes]) -> list[int]:
    kind, count, data = entry
    return list(struct.unpack(f"{order}{count}{'H' if kind == 3 else 'I'}", data))


def written(parts: Taken, places: dict[int, int] | None = None) -> bytes:
    """Put a TIFF together; ``places`` are where certain pieces are said to lie, and nothing is."""
    order, tags = parts.order, dict(parts.tags)
    content = bytearray(b"II*\0" if order == "<" else b"MM\0*") + bytes(4)
    starts, sizes = [], []
    for k, piece in enumerate(parts.pieces):
        place = (places or {}).get(k, len(content))
        starts.append(place)
        sizes.append(len(piece) if place else 0)
        content += piece + bytes(len(piece) % 2)
    for tag, numbers in zip(_of_pieces(parts.tiled), (starts, sizes), strict=True):
        tags[tag] = 4, len(numbers), struct.pack(f"{order}{len(numbers)}I", *numbers)
    entries = b""
    for tag, (kind, number, data) in sorted(tags.items()):
        value = data.ljust(4, b"\0")
        if len(data) > 4:
            value = struct.pack(f"{order}I", len(content))
            content += data + bytes(len(data) % 2)
        entries += struct.pack(f"{order}HHI", tag, kind, number) + value
    struct.pack_into(f"{order}I", content, 4, len(content))
    return bytes(content + struct.pack(f"{order}H", len(tags)) + entries + bytes(4))


def encoded(image: Image.Image, mode: str = "RGB", rows: int = 16, **options: Any) -> bytes:
    """Write a TIFF of strips the way Pillow does."""
    stream = io.BytesIO()
    image.convert(mode).save(stream, format="TIFF", tiffinfo={278: rows}, **options)
    return stream.getvalue()


def with_palette(image: Image.Image, **options: Any) -> bytes:
    """Write colours of a palette."""
    stream = io.BytesIO()
    image.quantize(200).save(stream, format="TIFF", tiffinfo={278: 16}, **options)
    return stream.getvalue()


def plain(
    image: Image.Image,
    *,
    tile: int = 0,
    deflated: bool = False,
    separate: bool = False,
    bits: int = 8,
    order: str = "<",
) -> bytes:
    """Write RGB in strips of 16 rows, or in square tiles; colours in planes or together."""
    pixels = np.asarray(image).astype(f"{order}u{bits // 8}") * (257 if bits == 16 else 1)
    height, width = pixels.shape[:2]
    across, down = (tile, tile) if tile else (width, 16)
    planes = [pixels[..., k : k + 1] for k in range(3)] if separate else [pixels]
    pieces = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across]
                if tile:
                    edge = (down - part.shape[0], across - part.shape[1])
                    part = np.pad(part, ((0, edge[0]), (0, edge[1]), (0, 0)), "edge")
                data = part.tobytes()
                pieces.append(zlib.compress(data) if deflated else data)
    numbers = {256: width, 257: height, 259: 8 if deflated else 1, 262: 2, 277: 3}
    numbers |= {284: 2 if separate else 1}
    numbers |= {322: tile, 323: tile} if tile else {278: down}
    tags = {tag: (4, 1, struct.pack(f"{order}I", n)) for tag, n in numbers.items()}
    tags = {k: (3, 1, struct.pack(f"{order}H", numbers[k])) for k in (259, 262, 277, 284)} | {
        k: v for k, v in tags.items() if k not in (259, 262, 277, 284)
    }
    tags[258] = 3, 3, struct.pack(f"{order}3H", bits, bits, bits)
    return written(Taken(order, tags, pieces, bool(tile)))


TIFF_ENCODINGS: dict[str, Encode] = {
    "plain": partial(plain),
    "palette, LZW": partial(with_palette, compression="tiff_lzw"),
    "tiles, deflated": partial(plain, tile=48, deflated=True),
    "LZW": partial(encoded, compression="tiff_lzw"),
    "JPEG": partial(encoded, compression="jpeg", quality=90),
    "packed": partial(encoded, compression="packbits"),
    "planes, deflated": partial(plain, separate=True, deflated=True),
    "tiles": partial(plain, tile=64),
    "deflated": partial(encoded, compression="tiff_adobe_deflate"),
    "planes": partial(plain, separate=True),
    "palette": with_palette,
    "16 bits": partial(plain, bits=16),
    "grey, LZW": partial(encoded, mode="L", compression="tiff_lzw"),
    "16 bits, big-endian, deflated": partial(plain, bits=16, order=">", deflated=True),
    "RGBA, LZW": partial(encoded, mode="RGBA", compression="tiff_lzw"),
    "CMYK": partial(encoded, mode="CMYK"),
}
