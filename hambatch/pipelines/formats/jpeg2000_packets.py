"""Whether a JPEG 2000 holds every tile, and every packet of a tile.

OpenJPEG refuses a packet that is cut, but takes absent packets for empty ones, which makes the
picture coarse, and leaves absent tiles black. So the packets are counted: each says in its header
how long it is [1]_. Takes 10 us for a code block of 64 x 64 pixels.

References
----------
.. [1] ITU-T T.800, B.8 to B.10.
"""

import struct
from dataclasses import dataclass, field
from itertools import product

from hambatch.pipelines.formats.jpeg2000 import (
    EOC,
    POC,
    PPT,
    SOD,
    SOT,
    Codestream,
    codestream_of,
    codestream_place,
    profile,
    segments_from,
    stated,
    uncounted,
)
from hambatch.pipelines.formats.jpeg2000_layout import (
    Coding,
    Planes,
    Resolution,
    codings_of,
    packets_of,
    planes_of,
    resolutions_of,
)
from hambatch.pipelines.formats.stated import HOLE, Parts, Unreadable

_HAS_EPH = 4
_BYPASS, _TERMINATES = 1, 4
_SOP, _EPH = b"\xff\x91", b"\xff\x92"
_SOT_BYTES = 12

_WHERE = "{where}"
"""Stands for the name of a tile."""

_MOST_PLANES = 300
"""Of a picture with a marked region, whose planes are shifted."""

MOST_BLOCKS = 2_000_000
"""Code blocks of a file; 100 megapixels have 100,000 of the usual size."""


@dataclass
class _Tile:
    """What the tile-parts of one tile say, and their data.

    ``parts`` is how many there have to be at least.
    """

    coding: dict[int, Coding]
    planes: dict[int, Planes]
    data: list[bytes] = field(default_factory=list)
    parts: int = 0


def lacking_packets(content: bytes, stream: Codestream) -> str:
    """Say which tile or packet of a codestream is absent; empty if none."""
    tiles = _tiles(content, stream)
    wanted = stream.size.tiles_across * stream.size.tiles_down
    if len(tiles) != wanted:
        return f"incomplete: the file holds {len(tiles)} of {wanted} tiles of the JPEG 2000"
    blocks = 0
    for number, tile in sorted(tiles.items()):
        where = f"tile {number + 1} of {wanted} of the JPEG 2000"
        # Some encoders state fewer than they write.
        if tile.parts > len(tile.data):
            return f"incomplete: {where} has {len(tile.data)} of {tile.parts} parts"
        resolutions = list(resolutions_of(stream.size, number, tile.coding))
        blocks += sum(one.blocks for one in resolutions)
        if blocks > MOST_BLOCKS:
            return "JPEG 2000 of too many code blocks is not supported"
        if reason := _lacking_in(tile, resolutions):
            return reason.replace(_WHERE, where)
    return ""


def _tiles(content: bytes, stream: Codestream) -> dict[int, _Tile]:
    """Collect the tile-parts up to the mark of the end."""
    place, count = stream.place, len(stream.size.components)
    main = codings_of(stream.segments, {}, count)
    planes = planes_of(stream.segments, {}, count)
    tiles: dict[int, _Tile] = {}
    while content[place : place + 2] != EOC:
        if content[place + 1 : place + 2] != bytes([SOT]) or content[place] != 0xFF:
            raise Unreadable("incomplete: JPEG 2000 without the mark of its end")
        number, size, part, parts = struct.unpack_from(">HIBB", content, place + 4)
        end = place + size if size else content.find(EOC, place + _SOT_BYTES, stream.end)
        if end < place + _SOT_BYTES or end > stream.end:
            raise Unreadable(f"incomplete: tile {number + 1} of the JPEG 2000 is cut off")
        tile = tiles.setdefault(number, _Tile(main, planes))
        if part != len(tile.data):
            raise Unreadable(f"incomplete: part {len(tile.data)} of tile {number + 1} is absent")
        tile.parts = max(tile.parts, parts)
        segments, data = _tile_header(content, place + _SOT_BYTES)
        tile.coding = codings_of(segments, tile.coding, count)
        tile.planes = planes_of(segments, tile.planes, count)
        tile.data.append(content[data:end])
        place = end
    return tiles


def _tile_header(content: bytes, place: int) -> tuple[list[tuple[int, bytes]], int]:
    """Give the segments of a tile-part's header, and where its data begins."""
    segments: list[tuple[int, bytes]] = []
    for marker, start, end in segments_from(content, place):
        if marker == SOD:
            return segments, end
        if marker in (POC, PPT):
            raise Unreadable("JPEG 2000 of changing progressions is not supported")
        segments.append((marker, content[start:end]))
    raise Unreadable("incomplete: the header of a tile of the JPEG 2000 is not whole")


def _lacking_in(tile: _Tile, resolutions: list[Resolution]) -> str:
    data = b"".join(tile.data)
    wanted = sum(one.precincts * one.coding.layers for one in resolutions)
    # Even an empty packet takes a byte.
    if wanted > len(data):
        return f"incomplete: {_WHERE} holds {len(data)} bytes for {wanted} packets"
    looks_holed = bytes(HOLE) in data
    precincts: dict[tuple[int, int, int], _Precinct] = {}
    place = found = 0
    fillings: set[int] = set()
    for layer, one, k in packets_of(resolutions):
        key = one.component, one.number, k
        if place >= len(data):
            return f"incomplete: {_WHERE} holds {found} of {wanted} packets"
        if key not in precincts:
            precincts[key] = _Precinct(one, k, tile.planes.get(one.component))
        try:
            start, end = precincts[key].read(data, place, layer, fillings)
        except _Misread:
            return f"damaged: packet {found + 1} of {wanted} of {_WHERE} cannot be read"
        if end > len(data):
            return f"incomplete: {_WHERE} holds {found} of {wanted} packets"
        if looks_holed and data.find(bytes(HOLE), start, end) >= 0:
            return f"damaged: zero bytes stand in the compressed pixels of {_WHERE}"
        place, found = end, found + 1
    if place < len(data):
        return f"damaged: {_WHERE} holds {len(data) - place} bytes behind its packets"
    if len(fillings) > 1:
        # An encoder fills up all headers of packets with zeros, or all with ones.
        return f"damaged: packets of {_WHERE} do not begin where they should"
    return ""


class _Misread(Exception):
    """A packet says what no packet can say."""


class _Bits:
    """Bits of a packet's header: behind a byte 0xFF only seven of the next one count."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self.place = data, place
        self._byte, self._left = 0, 0

    def one(self) -> int:
        """Read a bit; raises IndexError at the end of the data."""
        if not self._left:
            self._left = 7 if self._byte == 0xFF else 8
            self._byte = self._data[self.place]
            self.place += 1
            if self._byte >> self._left:
                raise _Misread
        self._left -= 1
        return self._byte >> self._left & 1

    def several(self, count: int) -> int:
        """Read a number of so many bits."""
        found = 0
        for _ in range(count):
            found = found << 1 | self.one()
        return found

    def finish(self) -> tuple[int, int]:
        """Give where the bytes behind the header begin, and the bits that fill up its last byte.

        These are 0 or 1 if all of them are, 2 if they differ, and -1 if there are none.
        """
        most = (1 << self._left) - 1
        rest = self._byte & most
        filling = -1 if not self._left else 0 if not rest else 1 if rest == most else 2
        return self.place + (self._byte == 0xFF), filling


class _Tree:
    """A tag tree: the values of blocks, each node the least of the four below it."""

    def __init__(self, columns: int, rows: int) -> None:
        self._widths, self._starts, count = [], [], 0
        while True:
            self._widths.append(columns)
            self._starts.append(count)
            count += columns * rows
            if columns * rows <= 1:
                break
            columns, rows = (columns + 1) // 2, (rows + 1) // 2
        self._low, self._done = [0] * count, bytearray(count)

    def is_below(self, bits: _Bits, column: int, row: int, limit: int) -> bool:
        """Tell whether the value of a block is below a limit, reading what that takes."""
        low, node = 0, 0
        for level in range(len(self._widths) - 1, -1, -1):
            across, down = column >> level, row >> level
            node = self._starts[level] + down * self._widths[level] + across
            low = max(low, self._low[node])
            while low < limit and not self._done[node]:
                if bits.one():
                    self._done[node] = 1
                else:
                    low += 1
            self._low[node] = low
        return bool(self._done[node]) and low < limit


class _Precinct:
    """What earlier layers said of the code blocks of a precinct."""

    def __init__(self, resolution: Resolution, k: int, planes: Planes | None) -> None:
        coding, r = resolution.coding, resolution.number
        self._coding, self._grids = coding, list(resolution.grids(k))
        self._planes = [planes.of(r, band) if planes else _MOST_PLANES for band, _ in self._grids]
        self._bands: list[tuple[_Tree, _Tree, dict[int, _Block]]] = []

    def read(self, data: bytes, place: int, layer: int, fillings: set[int]) -> tuple[int, int]:
        """Read the packet that begins at a place: give start and end of what follows its header.

        At the end of the data the end lies behind it. What fills up the header is added to
        ``fillings``. Raises _Misread.
        """
        if data.startswith(_SOP, place):
            place += 6
        bits = _Bits(data, place)
        try:
            size = self._body(bits, layer) if bits.one() else 0
        except IndexError:
            return len(data), len(data) + 1
        start, filling = bits.finish()
        if filling >= 0:
            fillings.add(filling)
        if self._coding.marks & _HAS_EPH and data.startswith(_EPH, start):
            start += 2
        return start, start + size

    def _body(self, bits: _Bits, layer: int) -> int:
        if not self._bands:
            self._bands = [(_Tree(*grid), _Tree(*grid), {}) for _, grid in self._grids]
        return sum(self._of_band(n, bits, layer) for n in range(len(self._bands)))

    def _of_band(self, n: int, bits: _Bits, layer: int) -> int:
        """Give how many bytes the packet holds of the code blocks of a band."""
        _, (columns, rows) = self._grids[n]
        (included, empty, blocks), most, total = self._bands[n], self._planes[n], 0
        for row, column in product(range(rows), range(columns)):
            block = blocks.get(row * columns + column)
            if block is None:
                if not included.is_below(bits, column, row, layer + 1):
                    continue
                planes = 0
                while not empty.is_below(bits, column, row, planes + 1):
                    planes += 1
                    if planes >= most:
                        raise _Misread
                # The first plane has one pass, all others three.
                block = blocks[row * columns + column] = _Block(3 * (most - planes) - 2)
            elif not bits.one():
                continue
            total += block.read(bits, self._coding.style)
        return total


class _Block:
    """How many passes of a code block have been sent, and in which segments."""

    __slots__ = ("left", "length_bits", "most", "passes")

    def __init__(self, left: int) -> None:
        self.left, self.length_bits, self.passes, self.most = left, 3, 0, 0

    def read(self, bits: _Bits, style: int) -> int:
        """Give how many bytes a packet holds of this block."""
        new, total = _passes(bits), 0
        self.left -= new
        if self.left < 0:
            raise _Misread
        while bits.one():
            self.length_bits += 1
        while new:
            if self.passes == self.most:
                self.passes, self.most = 0, self._segment(style)
            fitting = min(self.most - self.passes, new)
            total += bits.several(self.length_bits + fitting.bit_length() - 1)
            self.passes += fitting
            new -= fitting
        return total

    def _segment(self, style: int) -> int:
        """Give how many passes the next segment has at most."""
        if style & _TERMINATES:
            return 1
        if style & _BYPASS:
            return 10 if not self.most else 2 if self.most in (1, 10) else 1
        return 109 if not self.most else 1 << 30


def _passes(bits: _Bits) -> int:
    if not bits.one():
        return 1
    if not bits.one():
        return 2
    if (found := bits.several(2)) < 3:
        return 3 + found
    if (found := bits.several(5)) < 31:
        return 6 + found
    return 37 + bits.several(7)


def _lacking(content: bytes) -> str:
    if len(content) < codestream_place(content)[1]:
        return "incomplete: the picture of the JPEG 2000 ends behind the file"
    return lacking_packets(content, codestream_of(content))


def lacking_of_codestream(codestream: bytes) -> str:
    """Say what a codestream by itself lacks, as DICOM has it; empty where packets are not counted.

    These are packets of changing progressions, with packed headers, or of high throughput.
    """
    try:
        stream = codestream_of(codestream)
        return "" if uncounted(stream) else lacking_packets(codestream, stream)
    except Unreadable as error:
        return str(error)
    except (IndexError, struct.error, ArithmeticError):
        return "incomplete: the header of the JPEG 2000 is not whole"


JPEG_2000 = Parts(stated, _lacking, profile)
