"""Pixels in memory as a PNG whose bytes depend on nothing but the pixels.

Its pixels are stored, not compressed: zlib's versions compress differently, and the sha256 of a
row would change with them. Making it takes a millisecond for 600 x 450 pixels, a tenth of what
compressing them takes.
"""

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hambatch.pipelines.orientation import exif_of

if TYPE_CHECKING:
    from PIL.Image import Image

_STORED_AT_MOST = 65_535
"""Bytes of a block of deflate that is not compressed."""

_GREY, _RGB = 0, 2

MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX")
"""Modes of Pillow whose images have one meaning as RGB of 8 bits; alpha is dropped, as it is of
files."""

_TO_RGBA = ("P", "PA")
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


def png_of(pixels: NDArray[np.uint8], exif: bytes = b"", icc: bytes = b"") -> bytes:
    """Write uint8 ``[height, width, 3]``, or grey ``[height, width]``, as PNG.

    ``exif`` (without the mark of JPEG) and an ICC profile go along where they are given.
    """
    height, width = pixels.shape[:2]
    rows = np.zeros((height, 1 + pixels[0].size), np.uint8)  # a filter of 0 begins each row
    rows[:, 1:] = pixels.reshape(height, -1)
    kind = _GREY if pixels.ndim == 2 else _RGB
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"iCCP", b"icc\0\0" + _deflated(memoryview(icc))) if icc else b"",
            _chunk(b"eXIf", exif) if exif else b"",
            _chunk(b"IDAT", _deflated(rows.data.cast("B"))),
            _chunk(b"IEND", b""),
        ]
    )


def png_of_image(image: "Image") -> bytes:
    """Write an image of Pillow as PNG, with its EXIF and its profile.

    Its mode has to be one of :data:`MODES`. Raises what Pillow does if its file is damaged.
    """
    image.load()
    exif = exif_of(image.info).removeprefix(b"Exif\0\0")
    icc = image.info.get("icc_profile")
    return png_of(_pixels_of(image), exif, icc if isinstance(icc, bytes) else b"")


def _pixels_of(image: "Image") -> NDArray[np.uint8]:
    """Give uint8 grey or RGB, the colours as they are stored."""
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in _TO_RGBA:
        image = image.convert("RGBA")
    elif image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    pixels = np.asarray(image, np.uint8)
    if pixels.ndim == 2:
        return pixels
    return pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]


def _chunk(kind: bytes, content: bytes) -> bytes:
    crc32 = zlib.crc32(content, zlib.crc32(kind))
    return b"".join([struct.pack(">I", len(content)), kind, content, struct.pack(">I", crc32)])


def _deflated(content: memoryview) -> bytes:
    """Wrap bytes as zlib does, in blocks that are not compressed."""
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    for start in range(0, len(content), _STORED_AT_MOST):
        part = content[start : start + _STORED_AT_MOST]
        last = start + _STORED_AT_MOST >= len(content)
        parts += [struct.pack("<BHH", last, len(part), 0xFFFF ^ len(part)), part]
    parts.append(struct.pack(">I", zlib.adler32(content)))
    return b"".join(parts)
