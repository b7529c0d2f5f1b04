"""JPEG 2000: a codestream of tiles, in boxes or by itself [1]_.

References
----------
.. [1] ITU-T T.800, Annex A (codestream) and Annex I (JP2 boxes).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from hambatch.pipelines.colour_profile import UnusableProfile
from hambatch.pipelines.formats.stated import Stated, Unreadable

SOC, SOT, SOD, EOC = b"\xff\x4f", 0x90, 0x93, b"\xff\xd9"
SIZ, COD, COC, QCD, POC, PPM, PPT = 0x51, 0x52, 0x53, 0x5C, 0x5F, 0x60, 0x61

_SRGB, _GREY, _SYCC = 16, 17, 18
_ENUMERATED, _ICC, _ANY_ICC = 1, 2, 3

_HIGH_THROUGHPUT = 0x40
_UNSUPPORTED = {
    POC: "JPEG 2000 of changing progressions is not supported",
    PPM: "JPEG 2000 of packed packet headers is not supported",
    PPT: "JPEG 2000 of packed packet headers is not supported",
}


class Size(NamedTuple):
    """The reference grid: where the picture and the first tile begin, and their ends and sizes.

    ``components`` have their depth as stated, and their steps across and down.
    """

    right: int
    bottom: int
    left: int
    top: int
    tile_width: int
    tile_height: int
    tiles_left: int
    tiles_top: int
    components: tuple[tuple[int, int, int], ...]

    @property
    def tiles_across(self) -> int:
        """How many tiles stand in a row."""
        return -((self.tiles_left - self.right) // self.tile_width)

    @property
    def tiles_down(self) -> int:
        """How many rows of tiles there are."""
        return -((self.tiles_top - self.bottom) // self.tile_height)


class Codestream(NamedTuple):
    """The marker segments of the main header, and where the first tile-part begins."""

    size: Size
    segments: list[tuple[int, bytes]]
    place: int
    end: int


def _boxes(content: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of what boxes hold; the end may lie behind that of the file."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, body)
            body += 8
        box_end = start + size if size else end
        if box_end < body:
            return
        yield kind, body, box_end
        start = box_end


def codestream_place(content: bytes) -> tuple[int, int]:
    """Give where the codestream begins, and where its box ends, or the file."""
    if content.startswith(SOC):
        return 0, len(content)
    for kind, start, end in _boxes(content, 0, len(content)):
        if kind == b"jp2c":
            return start, end
    raise Unreadable("incomplete: JPEG 2000 without a picture")


def segments_from(content: bytes, place: int) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of segments; the last one is SOD, or what is none."""
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == SOD:
            yield marker, place + 2, place + 2
            return
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4])
        yield marker, place + 4, end
        place = end


def codestream_of(content: bytes) -> Codestream:
    """Read the main header; raises Unreadable, IndexError or struct.error if it is not whole."""
    place, end = codestream_place(content)
    if content[place : place + 2] != SOC:
        raise Unreadable("damaged: JPEG 2000 whose codestream does not begin as one")
    size, segments = None, []
    for marker, start, segment_end in segments_from(content, place + 2):
        if marker == SOT:
            if size is None:
                break
            return Codestream(size, segments, start - 4, end)
        segments.append((marker, content[start:segment_end]))
        if marker == SIZ:
            size = _size(content, start)
    raise Unreadable("incomplete: JPEG 2000 without a whole header")


def _size(content: bytes, start: int) -> Size:
    right, bottom, left, top, *tiles, count = struct.unpack_from(">IIIIIIIIH", content, start + 2)
    places = range(start + 36, start + 36 + 3 * count, 3)
    parts = tuple((content[k], content[k + 1], content[k + 2]) for k in places)
    size = Size(right, bottom, left, top, tiles[0], tiles[1], tiles[2], tiles[3], parts)
    if not (size.tile_width and size.tile_height and all(x and y for _, x, y in parts)):
        raise Unreadable("damaged: JPEG 2000 of tiles without a size")
    return size


def stated(content: bytes) -> Stated:
    """Say what the picture is; see :class:`~hambatch.pipelines.formats.stated.Parts`."""
    stream = codestream_of(content)
    size = stream.size
    width, height = max(size.right - size.left, 0), max(size.bottom - size.top, 0)
    return Stated(width, height, _unsupported(content, stream))


def _unsupported(content: bytes, stream: Codestream) -> str:
    depths = {depth for depth, _, _ in stream.size.components}
    if len(stream.size.components) not in (1, 2, 3, 4):
        return f"JPEG 2000 of {len(stream.size.components)} channels is not supported"
    if len(depths) > 1 or max(depths) >= 16:
        return "JPEG 2000 of signed samples, or of various depths, is not supported"
    if any((x, y) != (1, 1) for _, x, y in stream.size.components):
        return "JPEG 2000 of subsampled colours is not supported"
    if reason := uncounted(stream):
        return reason
    space = _colour_space(content)
    if isinstance(space, int) and space not in (_SRGB, _GREY, _SYCC):
        return f"JPEG 2000 of the colour space {space} is not supported"
    return _of_other_size(content, stream)


def uncounted(stream: Codestream) -> str:
    """Say that packets are laid out in a way in which they are not counted."""
    for marker, data in stream.segments:
        if marker in _UNSUPPORTED:
            return _UNSUPPORTED[marker]
        if marker == COD and data[8] & _HIGH_THROUGHPUT:
            return "JPEG 2000 of high throughput is not supported"
    return ""


def _of_other_size(content: bytes, stream: Codestream) -> str:
    for kind, start, _ in _header_boxes(content):
        if kind == b"ihdr":
            height, width, channels = struct.unpack_from(">IIH", content, start)
            size = stream.size
            found = size.right - size.left, size.bottom - size.top, len(size.components)
            if found != (width, height, channels):
                return "JPEG 2000 of two sizes: which one is meant is unknown"
    return ""


def _header_boxes(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    if content.startswith(SOC):
        return
    for kind, start, end in _boxes(content, 0, len(content)):
        if kind == b"jp2h":
            yield from _boxes(content, start, min(end, len(content)))


def _colour_space(content: bytes) -> int | bytes | None:
    """Give the number of the colour space, the ICC profile, or None where the file says nothing."""
    for kind, start, end in _header_boxes(content):
        if kind != b"colr":
            continue
        if content[start] == _ENUMERATED:
            return int.from_bytes(content[start + 3 : start + 7])
        if content[start] in (_ICC, _ANY_ICC):
            return content[start + 3 : end]
    return None


def profile(content: bytes) -> bytes:
    """Give the ICC profile; see :class:`~hambatch.pipelines.formats.stated.Parts`."""
    space = _colour_space(content)
    if not isinstance(space, bytes):
        return b""
    if len(space) < int.from_bytes(space[:4]):
        raise UnusableProfile("colour profile is not whole; its colours are unknown")
    return space
