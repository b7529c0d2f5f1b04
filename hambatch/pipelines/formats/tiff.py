"""TIFF: directories of tags, and what the first one says of its picture [1]_.

References
----------
.. [1] TIFF Revision 6.0 (Adobe, 1992), with its supplements; BigTIFF of libtiff.
"""

import struct
from typing import NamedTuple

import numpy as np

from hambatch.pipelines.colour_profile import SRGB, UnusableProfile, of_exif
from hambatch.pipelines.formats.stated import Stated, Unreadable

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
FILL_ORDER, ORIENTATION, SAMPLES, PLANAR = 266, 274, 277, 284
STRIPS, ROWS_PER_STRIP, STRIP_BYTES = 273, 278, 279
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 322, 323, 324, 325
COLOURS, SAMPLE_FORMAT, JPEG_TABLES = 320, 339, 347
_SUBFILE, _OLD_SUBFILE, _WHITE, _PRIMARIES, _ICC = 254, 255, 318, 319, 34675

PLAIN, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACK_BITS = 1, 5, 7, 8, 32946, 32773
_READ = {PLAIN, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACK_BITS}
_NAMES = {
    **dict.fromkeys((2, 3, 4), "CCITT"),
    **{6: "old JPEG", 34925: "LZMA", 50000: "Zstandard", 50001: "WebP"},
    **{34887: "LERC", 34712: "JPEG 2000"},
}

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}
"""Samples of a pixel without extra ones, such as alpha."""

_DEPTHS = {
    **{WHITE_IS_ZERO: {1, 2, 4, 8}, BLACK_IS_ZERO: {1, 2, 4, 8, 16}, RGB: {8, 16}},
    **{PALETTE: {1, 2, 4, 8}, CMYK: {8, 16}, YCBCR: {8}},
}

MOST_SMALLER_PAGES = 64
"""Pages of lower resolution, as pyramids and previews have; each is a directory to read."""

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTES |= {16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_NEAR = 0.01
"""By which primaries may differ from sRGB's: they are rounded by whoever writes them."""


class Directory(NamedTuple):
    """Tags of one page: type, count and where the value lies, by number.

    ``following`` is the place of the next directory, 0 after the last one.
    """

    content: bytes
    order: str
    entries: dict[int, tuple[int, int, int]]
    following: int

    def raw(self, tag: int) -> bytes:
        """Give the bytes of a value; raises Unreadable if they lie behind the file."""
        kind, count, place = self.entries[tag]
        size = count * _BYTES.get(kind, 1)
        if place + size > len(self.content):
            raise Unreadable(f"incomplete: a value of the TIFF (tag {tag}) lies behind the file")
        return self.content[place : place + size]

    def values(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Give the whole numbers of a tag; raises Unreadable if it holds others."""
        if tag not in self.entries:
            return default
        number = _NUMBERS.get(self.entries[tag][0])
        if number is None:
            raise Unreadable(f"damaged: a value of the TIFF (tag {tag}) is no number")
        return tuple(np.frombuffer(self.raw(tag), f"{self.order}{number}").tolist())

    def value(self, tag: int, default: int) -> int:
        """Give the first number of a tag."""
        return next(iter(self.values(tag)), default)

    @property
    def is_smaller(self) -> bool:
        """Whether it is a preview, a step of a pyramid, or a mask: no picture of its own."""
        return bool(self.value(_SUBFILE, 0) & 0b101) or self.value(_OLD_SUBFILE, 0) == 2


def first_page(content: bytes) -> Directory:
    """Read the first directory."""
    order, is_big = _kind(content)
    (place,) = struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", content, 8 if is_big else 4)
    return _directory(content, place)


def _kind(content: bytes) -> tuple[str, bool]:
    order = "<" if content.startswith(b"II") else ">"
    return order, struct.unpack_from(f"{order}H", content, 2)[0] == 43


def _directory(content: bytes, place: int) -> Directory:
    order, is_big = _kind(content)
    count_as, entry_as, size = ("Q", "HHQ", 20) if is_big else ("H", "HHI", 12)
    room, offset_as = (8, "Q") if is_big else (4, "I")
    (count,) = struct.unpack_from(f"{order}{count_as}", content, place)
    place += struct.calcsize(count_as)
    if place + count * size > len(content):
        raise Unreadable("incomplete: a directory of the TIFF ends behind the file")
    entries: dict[int, tuple[int, int, int]] = {}
    for _ in range(count):
        tag, kind, number = struct.unpack_from(f"{order}{entry_as}", content, place)
        value = place + size - room
        if number * _BYTES.get(kind, 1) > room:
            (value,) = struct.unpack_from(f"{order}{offset_as}", content, value)
        if entries.setdefault(tag, (kind, number, value)) != (kind, number, value):
            raise Unreadable(f"TIFF with two values of the tag {tag}: which is meant is unknown")
        place += size
    (following,) = struct.unpack_from(f"{order}{offset_as}", content, place)
    return Directory(content, order, entries, following)


def _other_pages(first: Directory) -> str:
    """Say that there are more pages than one, previews left out."""
    page = first
    seen: set[int] = set()
    while page.following:
        if page.following in seen:
            return "TIFF with directories in a circle"
        if len(seen) >= MOST_SMALLER_PAGES:
            return f"TIFF of more than {MOST_SMALLER_PAGES} pages is not supported"
        seen.add(page.following)
        page = _directory(first.content, page.following)
        if first.is_smaller or not page.is_smaller:
            return "TIFF of several pages: which one is meant is unknown"
    return ""


def stated(content: bytes) -> Stated:
    """Say what the first page is; see :class:`~hambatch.pipelines.formats.stated.Parts`."""
    page = first_page(content)
    if WIDTH not in page.entries or HEIGHT not in page.entries:
        raise Unreadable("incomplete: TIFF without width and height")
    problem = _unsupported(page) or _other_pages(page)
    size = page.value(WIDTH, 0), page.value(HEIGHT, 0)
    return Stated(*size, problem, page.value(ORIENTATION, 1))


def _unsupported(page: Directory) -> str:
    compression, bits = page.value(COMPRESSION, PLAIN), set(page.values(BITS, (1,)))
    if compression not in _READ:
        name = _NAMES.get(compression, str(compression))
        return f"TIFF of the compression {name} is not supported"
    meaning = page.value(PHOTOMETRIC, -1)
    if meaning not in _COLOURS or page.value(SAMPLES, 1) < _COLOURS[meaning]:
        return f"TIFF of the colours {meaning} is not supported"
    if len(bits) != 1 or not bits <= _DEPTHS[meaning]:
        return f"TIFF of {max(bits, default=0)} bits a sample is not supported"
    if set(page.values(SAMPLE_FORMAT, (1,))) != {1}:
        return "TIFF of signed or floating-point samples is not supported"
    if meaning == YCBCR and compression != JPEG:
        return "TIFF of YCbCr without JPEG is not supported"
    if page.value(FILL_ORDER, 1) != 1 and compression != PLAIN:
        return "TIFF of compressed pixels in reversed bits is not supported"
    return ""


def turned_as_stored(content: bytes) -> bytes:
    """Give the same file without an orientation: Pillow would turn it, and by XMP as well."""
    page = first_page(content)
    if ORIENTATION not in page.entries:
        return content
    kind, _, place = page.entries[ORIENTATION]
    number = np.array([1], f"{page.order}{_NUMBERS.get(kind, 'u2')}").tobytes()
    return content[:place] + number + content[place + len(number) :]


def profile(content: bytes) -> bytes:
    """Give the ICC profile; see :class:`~hambatch.pipelines.formats.stated.Parts`."""
    page = first_page(content)
    if _ICC in page.entries:
        return page.raw(_ICC)
    if _PRIMARIES in page.entries and not _near_srgb(page):
        raise UnusableProfile("primaries of the TIFF are not those of sRGB: colours unknown")
    return of_exif(content)


def _near_srgb(page: Directory) -> bool:
    wanted = {_WHITE: SRGB.white, _PRIMARIES: SRGB.red + SRGB.green + SRGB.blue}
    for tag in wanted.keys() & page.entries.keys():
        parts = np.frombuffer(page.raw(tag), f"{page.order}u4").reshape(-1, 2).astype(float)
        with np.errstate(all="ignore"):
            found = parts[:, 0] / parts[:, 1]
        if found.shape != (len(wanted[tag]),) or not np.allclose(found, wanted[tag], atol=_NEAR):
            return False
    return True
