"""What a PNG lacks of what its header asks for: rows, or colours of its palette.

Pillow fills absent rows with zeros, also in its strict mode, and gives the indices of a palette
that is not there for grey. Neither it nor DALI reports rows beyond the header's height, but for a
warning of libpng's, or colours beyond the end of the palette.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from itertools import takewhile

import numpy as np
from PIL import Image

from hambatch.pipelines.segments import png_chunks
from hambatch.sources.content import PNG_START

PIECE = 1 << 16
"""Bytes that are inflated at a time: no file, however it is made, takes more memory."""

_UNDECODABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    LookupError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""What Pillow raises for a PNG that it does not decode: the slow lane gives the reason."""

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of a PNG, by the header's type of colours."""

_PALETTE = 3

_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
_ADAM7 += [(0, 1, 1, 2)]
"""Of each pass: first column, first row, step of columns, step of rows (PNG, 8.1)."""


def lacking_rows(content: bytes) -> str:
    """Say whether the pixels, once inflated, are more or fewer than the header's; empty if not.

    Empty also for what is no PNG.
    """
    if not content.startswith(PNG_START):
        return ""
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    asked = _bytes_asked_for(content, width, height)
    try:
        found, ended = bytes_inflated(_compressed(content), asked)
    except zlib.error as error:
        return f"damaged: the pixels cannot be inflated: {error}"
    if found > asked:
        return f"incomplete: the file holds more pixels than the header's {width} x {height}"
    if found < asked:
        size = f"{width} x {height} pixels"
        return f"incomplete: the file holds {found} of {asked} bytes of the header's {size}"
    return "" if ended else "incomplete: the end of the compressed pixels is missing"


def lacking_colours(content: bytes) -> str:
    """Say whether pixels have colours that the palette does not hold; empty if not."""
    if content[25] != _PALETTE:
        return ""
    chunks = [(kind, end - start) for kind, start, end in png_chunks(content)]
    sizes = [size for kind, size in chunks if kind == b"PLTE"]
    if len(sizes) > 1:
        return f"PNG with {len(sizes)} palettes: which one is meant is unknown"
    before_pixels = [kind for kind, _ in takewhile(lambda chunk: chunk[0] != b"IDAT", chunks)]
    colours = sizes[0] // 3 if b"PLTE" in before_pixels else 0
    if not colours:
        return "incomplete: PNG of palette colours without a palette"
    # Most palettes hold a colour for every value that a pixel may have.
    if colours >> content[24]:
        return ""
    used = _largest_index(content) + 1
    if used > colours:
        return f"incomplete: the palette has {colours} colours, the pixels need {used}"
    return ""


def _bytes_asked_for(content: bytes, width: int, height: int) -> int:
    bits, colour, interlaced = content[24], content[25], content[28]
    pixel_bits = bits * CHANNELS.get(colour, 0)
    passes = _ADAM7 if interlaced else [(0, 0, 1, 1)]
    sizes = [
        (len(range(left, width, across)), len(range(top, height, down)))
        for left, top, across, down in passes
    ]
    # A pass without columns has no rows, not even their filters.
    return sum(rows * (1 + (columns * pixel_bits + 7) // 8) for columns, rows in sizes if columns)


def bytes_inflated(pieces: Iterable[bytes], most: int) -> tuple[int, bool]:
    """Give how many bytes pieces inflate to, little more than ``most``, and whether they end.

    Raises zlib.error.
    """
    inflate, found = zlib.decompressobj(), 0
    for data in pieces:
        more = True
        while more and not inflate.eof and found <= most:
            inflated = inflate.decompress(data, PIECE)
            found, data = found + len(inflated), inflate.unconsumed_tail
            # What is inflated and does not fit into one piece comes without further data.
            more = bool(data) or len(inflated) == PIECE
    return found, inflate.eof


def _compressed(content: bytes) -> Iterator[bytes]:
    """Give the compressed pixels in pieces."""
    for kind, start, end in png_chunks(content):
        if kind == b"IDAT":
            yield from cut(content, start, end)


def cut(content: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield the pieces of a stretch: zlib copies what is left of one at every call."""
    for place in range(start, end, PIECE):
        yield content[place : min(place + PIECE, end)]


def _largest_index(content: bytes) -> int:
    """Give the largest index into the palette; -1 where Pillow does not decode the file."""
    # Our limit replaces Pillow's, which a run could not raise.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                return int(np.asarray(image).max())
    except _UNDECODABLE:
        return -1
