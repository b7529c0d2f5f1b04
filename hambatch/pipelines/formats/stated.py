"""What the header of a picture states, and what is looked for in every format."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

HOLE = 64
"""Zero bytes in a row that an encoder does not leave in compressed pixels; not of WebP, which codes
large areas of one colour so."""

_BLOCK = 4096
"""Bytes that file systems write at a time."""


class Stated(NamedTuple):
    """Width and height in pixels as stored, and why such a file is not decoded, whatever its size.

    ``orientation`` is EXIF's, or that of a TIFF: 1 is upright. HEIC and AVIF turn pictures by
    themselves: theirs are the size that is seen.
    """

    width: int
    height: int
    problem: str = ""
    orientation: int = 1

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


class Unreadable(Exception):
    """A header is not what its format demands: the message is the row's reason."""


class Parts(NamedTuple):
    """How the parts of one format are found; nothing is decoded.

    All take the whole file, and raise Unreadable, struct.error, IndexError or ArithmeticError for
    one whose header is not whole: :class:`~hambatch.pipelines.formats.table.Format` handles these.
    ``lacking`` says which part is absent, or nothing; ``profile`` gives the ICC profile, empty
    where the file says sRGB or nothing, or raises UnusableProfile.
    """

    stated: Callable[[bytes], Stated]
    lacking: Callable[[bytes], str]
    profile: Callable[[bytes], bytes]


def hole_in(content: bytes, start: int, end: int, name: str) -> str:
    """Say that zero bytes stand in compressed pixels, as a lost block or a cut leaves them."""
    place = content.find(bytes(HOLE), start, end)
    if place < 0:
        return ""
    return f"damaged: zero bytes stand in the compressed pixels of the {name}, from byte {place} on"


def block_hole_in(content: bytes, start: int, end: int, name: str) -> str:
    """Say that whole blocks of zero bytes stand in pixels that are not compressed.

    Black pixels are zero bytes as well. Those of a lost block, or of an end that was never
    written, begin where a block of the file begins, in the middle of other colours, and end so,
    or with the pixels; black areas of a picture begin there once in 4,096 times.
    """
    for first, last in _zero_blocks(content, start, end):
        if content[first - 1] and (last >= end or content[last]):
            size = min(last, end) - first
            return f"damaged: {size} zero bytes stand in the pixels of the {name}, in whole blocks"
    return ""


def _zero_blocks(content: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield where blocks begin that hold only zeros, several in a row as one, and where they end.

    The last block of the pixels need not be a full one.
    """
    first, zeros = -1, bytes(_BLOCK)
    for place in range((start // _BLOCK + 1) * _BLOCK, end, _BLOCK):
        is_zero = content[place : min(place + _BLOCK, end)] == zeros[: end - place]
        if is_zero and first < 0:
            first = place
        elif not is_zero and first >= 0:
            yield first, place
            first = -1
    if first >= 0:
        yield first, end
