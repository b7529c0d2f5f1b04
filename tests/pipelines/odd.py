"""Odd and damaged pictures, made from good ones byte by byte."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.conftest import jpeg_bytes

PNG_START = b"\x89PNG\r\n\x1a\n"


def as_png(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG", **options)
    return stream.getvalue()


def as_jpeg(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", **{"quality": 95, **options})
    return stream.getvalue()


def picture(seed: int = 1, width: int = 300, height: int = 224) -> Image.Image:
    return Image.open(io.BytesIO(jpeg_bytes(seed, width, height))).convert("RGB")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(samples: np.ndarray, bits: int, colour: int, extra: bytes = b"") -> bytes:
    """A PNG of these very samples; ``extra`` chunks stand before the pixel data."""
    height, width = samples.shape[:2]
    rows = samples.astype(">u2" if bits == 16 else "u1").reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return PNG_START + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def interlaced_png(samples: np.ndarray) -> bytes:
    """An 8-bit RGB PNG in Adam7 order."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
    passes += [(1, 0, 2, 2), (0, 1, 1, 2)]
    lines = (
        row.astype("u1").tobytes()
        for left, top, across, down in passes
        for row in samples[top::down, left::across]
    )
    height, width = samples.shape[:2]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1))
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    return PNG_START + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def frame_of(jpeg: bytes) -> int:
    """Where the start of frame is."""
    return jpeg.index(b"\xff\xc0")


def with_bytes(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The same JPEG, its header claiming another size."""
    return with_bytes(jpeg, frame_of(jpeg) + 5, struct.pack(">HH", height, width))


def cut_in_the_samples(jpeg: bytes) -> bytes:
    """Half of the samples, and the end marker: no look at header and ends can tell."""
    return jpeg[: (jpeg.index(b"\xff\xda") + len(jpeg)) // 2] + b"\xff\xd9"


def with_hole(jpeg: bytes) -> bytes:
    """A stretch of the samples overwritten with zeros, as a lost disk block is."""
    middle = (jpeg.index(b"\xff\xda") + len(jpeg)) // 2
    return with_bytes(jpeg, middle, bytes(64))


def with_junk_in_the_header(jpeg: bytes) -> bytes:
    """Garbage between two segments, which libjpeg skips and DALI refuses."""
    return jpeg[:20] + b"junk" + jpeg[20:]


def with_broken_scan_header(jpeg: bytes) -> bytes:
    """Regular up to the scan and at its end, and no decoder can read it."""
    return with_bytes(jpeg, jpeg.index(b"\xff\xda") + 2, b"\0\1")
