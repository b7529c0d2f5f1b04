"""PNGs in all kinds of colours, depths and orders, as Pillow writes them or row by row."""

import io
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from tests.faults.png_absences import ADAM7, Parts, parts_of, written

Encode = Callable[[Image.Image], bytes]


def encoded(image: Image.Image, mode: str = "RGB", **options: Any) -> bytes:
    """Write a PNG the way Pillow does."""
    stream = io.BytesIO()
    image.convert(mode).save(stream, format="PNG", **options)
    return stream.getvalue()


def with_palette(image: Image.Image, colours: int, **options: Any) -> bytes:
    """Write colours that a palette holds."""
    stream = io.BytesIO()
    image.quantize(colours).save(stream, format="PNG", **options)
    return stream.getvalue()


def plain(image: Image.Image, *, bits: int = 8, interlaced: bool = False) -> bytes:
    """Write RGB without filters, of 8 or 16 bits a sample, in rows or in seven passes."""
    samples = np.asarray(image).astype(f">u{bits // 8}")
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    rows = [
        b"\0" + row.tobytes()
        for left, top, across, down in passes
        for row in samples[top::down, left::across]
        if row.size
    ]
    header = samples.shape[1].to_bytes(4) + samples.shape[0].to_bytes(4)
    header += bytes([bits, 2, 0, 0, interlaced])
    return written(Parts([(b"IHDR", header), (b"IEND", b"")], [zlib.compress(b"".join(rows))]))


def in_pieces(image: Image.Image) -> bytes:
    """Write the pixels in chunks of 1000 bytes."""
    parts = parts_of(encoded(image))
    pixels = b"".join(parts.pixels)
    pieces = [pixels[k : k + 1000] for k in range(0, len(pixels), 1000)]
    return written(Parts(parts.chunks, pieces))


PNG_ENCODINGS: dict[str, Encode] = {
    "RGB": encoded,
    "palette": partial(with_palette, colours=200),
    "interlaced": partial(plain, interlaced=True),
    "RGBA": partial(encoded, mode="RGBA"),
    "palette of 16": partial(with_palette, colours=16, bits=4),
    "16 bits": partial(plain, bits=16),
    "grey": partial(encoded, mode="L"),
    "palette of 256": partial(with_palette, colours=256),
    "in pieces": in_pieces,
    "grey and alpha": partial(encoded, mode="LA"),
    "palette with transparency": partial(with_palette, colours=90, transparency=3),
    "not compressed": partial(encoded, compress_level=0),
    "1 bit": partial(encoded, mode="1"),
}
