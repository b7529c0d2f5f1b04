"""Whether a TIFF holds all of its pixels: strips or tiles, and in each of them all bytes.

Pillow leaves absent strips black, libtiff those that end too early.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from hambatch.pipelines.formats import tiff
from hambatch.pipelines.formats.lzw import BrokenCodes, counted
from hambatch.pipelines.formats.stated import Parts, Unreadable, block_hole_in, hole_in
from hambatch.pipelines.formats.tiff import Directory, first_page
from hambatch.pipelines.jpeg_codes import hole_of
from hambatch.pipelines.jpeg_scans import lacking_scans
from hambatch.pipelines.png_parts import bytes_inflated, cut
from hambatch.pipelines.segments import jpeg_segments
from hambatch.sources.content import kind_of

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Markers of the codings that libtiff and DALI decode."""

_WHERE = "{where}"
"""Stands for the name of a piece."""


class _Layout(NamedTuple):
    """How pixels are cut: into tiles, or into strips, which are as wide as the picture.

    ``width``, ``height`` of a piece; ``across``, ``down`` how many there are; ``planes`` how often
    over; ``bits`` of a pixel in a piece.
    """

    name: str
    size: tuple[int, int]
    width: int
    height: int
    across: int
    down: int
    planes: int
    bits: int

    @property
    def pieces(self) -> int:
        return self.across * self.down * self.planes

    @property
    def row(self) -> int:
        """Bytes of a row of a piece."""
        return (self.width * self.bits + 7) // 8

    def rows(self, k: int) -> int:
        """Rows that piece number ``k`` has to hold; tiles are whole, also at the edge."""
        if self.name == "tile":
            return self.height
        return min(self.height, self.size[1] - k % self.down * self.height)


def _layout(page: Directory) -> _Layout:
    width, height = page.value(tiff.WIDTH, 0), page.value(tiff.HEIGHT, 0)
    samples = page.value(tiff.SAMPLES, 1)
    bits = page.value(tiff.BITS, 1)
    planes, bits = (samples, bits) if page.value(tiff.PLANAR, 1) == 2 else (1, bits * samples)
    size = width, height
    if tiff.TILES in page.entries:
        across, down = page.value(tiff.TILE_WIDTH, 0), page.value(tiff.TILE_HEIGHT, 0)
        if not across or not down:
            raise Unreadable("incomplete: TIFF without the size of its tiles")
        counts = math.ceil(width / across), math.ceil(height / down)
        return _Layout("tile", size, across, down, *counts, planes, bits)
    rows = min(page.value(tiff.ROWS_PER_STRIP, height), height) or height
    return _Layout("strip", size, width, rows, 1, math.ceil(height / rows), planes, bits)


def _pieces(page: Directory, layout: _Layout) -> list[tuple[int, int]]:
    """Give where each piece begins and ends; raises Unreadable if one is absent."""
    places, sizes = tiff.STRIPS, tiff.STRIP_BYTES
    if layout.name == "tile":
        places, sizes = tiff.TILES, tiff.TILE_BYTES
    starts, counts = page.values(places), page.values(sizes)
    name, wanted = layout.name, layout.pieces
    if not counts and wanted == len(starts) == 1:
        counts = (len(page.content) - starts[0],)
    for found in (starts, counts):
        if len(found) != wanted:
            raise Unreadable(f"incomplete: the file states {len(found)} of {wanted} {name}s")
    pieces = [(start, start + count) for start, count in zip(starts, counts, strict=True)]
    for k, (start, end) in enumerate(pieces):
        if not start or start == end:
            raise Unreadable(f"incomplete: {name} {k + 1} of {wanted} of the TIFF is absent")
        if end > len(page.content):
            where = f"{name} {k + 1} of {wanted}"
            raise Unreadable(f"incomplete: {where} of the TIFF ends behind the file")
    in_order = sorted(pieces)
    for (_, end), (start, _) in pairwise(in_order):
        if start < end:
            raise Unreadable(f"damaged: {name}s of the TIFF share bytes")
    return pieces


def _lacking(content: bytes) -> str:
    page = first_page(content)
    layout = _layout(page)
    pieces = _pieces(page, layout)
    if page.value(tiff.PHOTOMETRIC, 0) == tiff.PALETTE:
        colours, wanted = len(page.values(tiff.COLOURS)), 3 << page.value(tiff.BITS, 1)
        if colours != wanted:
            return f"incomplete: the palette has {colours} of {wanted} values"
    compression = page.value(tiff.COMPRESSION, tiff.PLAIN)
    for k, (start, end) in enumerate(pieces):
        if found := _lacking_in(page, layout, k, start, end, compression):
            where = f"{layout.name} {k + 1} of {layout.pieces} of the TIFF"
            return found.replace(_WHERE, where)
    return _holes(content, pieces) if compression == tiff.PLAIN else ""


def _lacking_in(
    page: Directory, layout: _Layout, k: int, start: int, end: int, compression: int
) -> str:
    """Say what a piece lacks."""
    content, asked = page.content, layout.rows(k) * layout.row
    if compression == tiff.JPEG:
        return _lacking_in_jpeg(_joined(page, start, end), layout, k)
    try:
        found, ended = _bytes_in(content, start, end, asked, compression)
    except (BrokenCodes, zlib.error, IndexError) as error:
        return f"damaged: {_WHERE} cannot be read: {error}"
    if found < asked:
        return f"incomplete: {_WHERE} holds {found} of {asked} bytes"
    # What is not compressed may be filled up to an even number of bytes.
    if found > asked + (compression == tiff.PLAIN and asked % 2):
        return f"incomplete: {_WHERE} holds more than its {asked} bytes"
    if not ended:
        return f"incomplete: the end of {_WHERE} is missing"
    if compression in (tiff.LZW, tiff.PACK_BITS):
        return hole_in(content, start, end, "TIFF")
    return ""


def _bytes_in(
    content: bytes, start: int, end: int, most: int, compression: int
) -> tuple[int, bool]:
    """Count the bytes that a piece gives, little more than ``most``, and tell whether it ends."""
    if compression == tiff.PLAIN:
        return end - start, True
    if compression == tiff.LZW:
        # Files end these codes or not: libtiff does not look, once all pixels are there.
        return counted(content[start:end], 8, most, tiff=True)[0], True
    if compression == tiff.PACK_BITS:
        return _unpacked(content, start, end), True
    return bytes_inflated(cut(content, start, end), most)


def _unpacked(content: bytes, start: int, end: int) -> int:
    found, place = 0, start
    while place < end:
        count = content[place]
        if count < 128:
            found, place = found + count + 1, place + count + 2
        elif count > 128:
            found, place = found + 257 - count, place + 2
        else:
            place += 1
    # What a last run of different bytes has beyond the piece is absent.
    return found - (place - end)


def _holes(content: bytes, pieces: list[tuple[int, int]]) -> str:
    """Look at pieces that lie behind each other as at one."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(pieces):
        if spans and spans[-1][1] == start:
            start = spans.pop()[0]
        spans.append((start, end))
    found = (block_hole_in(content, start, end, "TIFF") for start, end in spans)
    return next(filter(None, found), "")


def _joined(page: Directory, start: int, end: int) -> bytes:
    """Give a piece as a JPEG of its own: tables that all of them share stand in a tag."""
    tables = page.raw(tiff.JPEG_TABLES) if tiff.JPEG_TABLES in page.entries else b""
    shared = tables.removeprefix(b"\xff\xd8").removesuffix(b"\xff\xd9")
    data = page.content[start:end]
    # Strips may be filled up to an even number of bytes.
    whole = data[:-1] if data.endswith(b"\xff\xd9\0") else data
    return b"\xff\xd8" + shared + whole[2:] if whole.startswith(b"\xff\xd8") else whole


def _lacking_in_jpeg(jpeg: bytes, layout: _Layout, k: int) -> str:
    width, height = _size_of(jpeg)
    if width < layout.width or height < layout.rows(k):
        size = f"{width} x {height}"
        return f"incomplete: {_WHERE} is {size} of {layout.width} x {layout.rows(k)} pixels"
    if (width, height) != (layout.width, layout.rows(k)):
        return f"incomplete: {_WHERE} holds more than its pixels"
    reason = lacking_scans(jpeg) or hole_of(jpeg)
    return f"{reason} ({_WHERE})" if reason else ""


def _size_of(jpeg: bytes) -> tuple[int, int]:
    """Give the size that a JPEG's frame states, 0 x 0 where it has none."""
    for marker, place, _ in jpeg_segments(jpeg):
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", jpeg, place + 5)
            return width, height
    return 0, 0


def jpegs_of(content: bytes) -> Iterator[bytes]:
    """Yield the strips or tiles of a whole TIFF, if they are JPEGs, as files of their own."""
    page = first_page(content) if kind_of(content) == "tiff" else None
    if page and page.value(tiff.COMPRESSION, tiff.PLAIN) == tiff.JPEG:
        for start, end in _pieces(page, _layout(page)):
            yield _joined(page, start, end)


TIFF = Parts(tiff.stated, _lacking, tiff.profile)
