"""What the codes of a JPEG cannot be: zeros instead of pixels, and tables with a symbol twice.

Zeros, which a disk or a download leaves where nothing was written, are codes like any others to a
decoder. Where they are as long as what they stand for, or end the file, it prints no warning. Nor
does it where a damaged Huffman table is still one: the codes then make another picture.
"""

from collections.abc import Iterator
from functools import lru_cache

from hambatch.pipelines.segments import END_OF_IMAGE, START_OF_SCAN, jpeg_segments

SEQUENTIAL = frozenset({0xC0, 0xC1})
"""Markers of frames whose scans send whole blocks."""

TABLES = 0xC4
"""The marker of a segment of Huffman tables (DHT)."""

_HOLE, _END_BYTES = bytes(64), b"\xff\xd9"
_USUAL_FIRST = {0x00: 0, 0x01: 0, 0x10: 1, 0x11: 0}
"""The symbol that zeros stand for in the usual tables, which a file may leave out (T.81, K.3)."""


def may_have_hole(content: bytes, start: int) -> bool:
    """Tell whether zeros stand where the pixels are, which begin at ``start``: 1 us for 25 kB."""
    hole = content.find(_HOLE, start)
    # What follows the image, such as a preview, may hold as many zeros as it likes.
    return hole >= 0 and content.find(_END_BYTES, start, hole) < 0


def hole_of(content: bytes) -> str:
    """Say whether zeros in a sequential scan are no picture; empty if they may be one.

    An area of one colour is a row of zeros if zeros stand for "as before" and "nothing more" in the
    tables of the scan. Otherwise 64 zero bytes are a hundred equal steps, which no picture has.
    """
    first = dict(_USUAL_FIRST)
    sequential, start, symbols = False, 0, frozenset[int]()
    try:
        for marker, place, end in jpeg_segments(content):
            if start and any(symbols) and content.find(_HOLE, start, place) >= 0:
                return "damaged: zero bytes stand where pixels should be"
            start = 0
            if marker == END_OF_IMAGE:
                break
            if marker in SEQUENTIAL:
                sequential = True
            elif marker == TABLES:
                tables = tables_of(content[place + 4 : end])
                first.update((name, own[0]) for name, own in tables if own)
            elif marker == START_OF_SCAN and sequential:
                start, symbols = place, _zeros_of_scan(content, place, first)
    except (IndexError, KeyError):
        pass
    return ""


@lru_cache(maxsize=256)
def repeats_a_symbol(segment: bytes) -> bool:
    """Tell whether a table of a DHT segment gives a symbol two codes, as none that is whole does.

    A byte lost or changed there makes another picture of the same codes, without a warning.
    """
    return any(len(set(symbols)) < len(symbols) for _, symbols in tables_of(segment))


def tables_of(segment: bytes) -> Iterator[tuple[int, bytes]]:
    """Give of each Huffman table its class and number, and its symbols."""
    place = 0
    while place + 17 < len(segment):
        end = place + 17 + sum(segment[place + 1 : place + 17])
        yield segment[place], segment[place + 17 : end]
        place = end


def _zeros_of_scan(content: bytes, place: int, first: dict[int, int]) -> frozenset[int]:
    """Give the symbols that zeros stand for in the tables of a scan's components."""
    tables = content[place + 6 : place + 5 + 2 * content[place + 4] : 2]
    return frozenset(first[t >> 4] for t in tables) | {first[0x10 | t & 15] for t in tables}
