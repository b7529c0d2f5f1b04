"""WebPs, and what they may lack; functions as in ``jpeg_absences``."""

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

PICTURES = (b"VP8 ", b"VP8L")


def encoded(image: Image.Image, mode: str = "RGB", **options: Any) -> bytes:
    """Write a WebP the way Pillow does."""
    stream = io.BytesIO()
    image.convert(mode).save(stream, format="WEBP", **options)
    return stream.getvalue()


def see_through(image: Image.Image) -> bytes:
    """Write alpha that is not the same everywhere, in a chunk of its own."""
    with_alpha = image.convert("RGBA")
    with_alpha.putalpha(image.convert("L"))
    return encoded(with_alpha, "RGBA", quality=80, exact=True)


def chunks_of(content: bytes) -> list[tuple[bytes, bytes]]:
    """Take a whole WebP apart."""
    found, at = [], 12
    while at < len(content):
        kind, size = struct.unpack_from("<4sI", content, at)
        found.append((kind, content[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found


def written(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Put a WebP together."""
    body = b"WEBP"
    for kind, data in chunks:
        body += kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def pieces_of(content: bytes) -> list[bytes]:
    """Give what a file holds of compressed pixels, in pieces."""
    return [data for kind, data in chunks_of(content) if kind in PICTURES]


def with_pieces(content: bytes, pieces: list[bytes]) -> bytes:
    """Write a file with other pieces, its lengths in order."""
    rest = iter(pieces)
    chunks = chunks_of(content)
    return written([(kind, next(rest) if kind in PICTURES else data) for kind, data in chunks])


def picture(_: Rng, content: bytes) -> Lacking:
    """Leave out the chunk of the picture."""
    chunks = chunks_of(content)
    rest = [(kind, data) for kind, data in chunks if kind not in PICTURES]
    return ("picture", written(rest)) if rest else None


WEBP_ENCODINGS: dict[str, Encode] = {
    "lossless": partial(encoded, lossless=True),
    "alpha": see_through,
    "lossy": partial(encoded, quality=80),
    "lossless, quick": partial(encoded, lossless=True, method=0),
    "lossy, best": partial(encoded, quality=95, method=6),
    "lossless with alpha": partial(encoded, mode="RGBA", lossless=True),
}

END_OF_PIECE, _, _ = coded_absences(pieces_of, with_pieces)

WEBP_ABSENCES = (
    *(END_OF_PIECE, bytes_of_file, end_of_file),
    zeros_to_the_end,
    picture,
)
