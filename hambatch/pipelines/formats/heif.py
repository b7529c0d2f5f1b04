"""HEIC and AVIF: boxes, the items that they hold, and which of them is the picture [1]_.

References
----------
.. [1] ISO/IEC 14496-12 (boxes), 23008-12 (HEIF), AV1 Image File Format 1.1.
"""

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

from hambatch.pipelines.colour_profile import coded, of_exif
from hambatch.pipelines.formats import hevc
from hambatch.pipelines.formats.stated import Parts, Stated, Unreadable

HEVC, AV1, _GRID = b"hvc1", b"av01", b"grid"

_NAMES = {HEVC: "HEIC", AV1: "AVIF"}

_IN_FILE, _IN_META = 0, 1

_HOLE = 512
"""Zero bytes in a row that AV1 does not have: in pictures with a large mask of one colour it has 93
of them."""

_TAIL = 16
"""Zero bytes that no picture of AV1 ends with; such pictures have 3 of them."""

_OBU_FRAME, _OBU_TILES = 6, 4


class Box(NamedTuple):
    """Kind of a box, and where its content begins and ends."""

    kind: bytes
    start: int
    end: int


class Grid(NamedTuple):
    """How tiles make up a picture."""

    rows: int
    columns: int
    width: int
    height: int


class Heif(NamedTuple):
    """What the meta box says.

    ``places`` has for each item how its extents count and these, as offset and size; ``properties``
    are boxes, ``of_item`` the numbers of those that an item has, from 1.
    """

    content: bytes
    primary: int
    kinds: dict[int, bytes]
    places: dict[int, tuple[int, list[tuple[int, int]]]]
    tiles: dict[int, list[int]]
    described: dict[int, list[int]]
    properties: list[Box]
    of_item: dict[int, list[int]]
    meta_data: int
    has_film: bool

    def data(self, item: int) -> bytes:
        """Give the bytes of an item; raises Unreadable if they are not all there."""
        method, extents = self.places.get(item, (_IN_FILE, []))
        if not extents or method not in (_IN_FILE, _IN_META):
            raise Unreadable(f"incomplete: the picture of the {self.name} is absent")
        found = []
        for start, size in extents:
            begin = start + (self.meta_data if method == _IN_META else 0)
            end = begin + size if size else len(self.content)
            if end > len(self.content):
                raise Unreadable(f"incomplete: the picture of the {self.name} ends behind the file")
            found.append(self.content[begin:end])
        return b"".join(found)

    def said(self, item: int, kind: bytes) -> bytes:
        """Give the content of the first property of a kind that an item has, or nothing."""
        for number in self.of_item.get(item, []):
            if 0 < number <= len(self.properties):
                box = self.properties[number - 1]
                if box.kind == kind:
                    return self.content[box.start : box.end]
        return b""

    @property
    def name(self) -> str:
        """HEIC or AVIF, by the coding of the picture."""
        return _NAMES.get(self.coding, "HEIF")

    @property
    def coding(self) -> bytes:
        """The kind of the picture, or of its first tile."""
        kind = self.kinds.get(self.primary, b"")
        if kind == _GRID:
            return self.kinds.get(next(iter(self.tiles.get(self.primary, [])), 0), b"")
        return kind

    @property
    def coded(self) -> list[int]:
        """The items that are decoded: the picture, or its tiles."""
        is_grid = self.kinds.get(self.primary) == _GRID
        return self.tiles.get(self.primary, []) if is_grid else [self.primary]

    def called(self, number: int) -> str:
        """Name the picture, or its tile of a number from 1 on."""
        tiles = len(self.coded)
        return f"tile {number} of {tiles} of the {self.name}" if tiles > 1 else f"the {self.name}"


def boxes(content: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes of a stretch; raises Unreadable if one does not end within."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", content, body)
            body += 8
        box_end = start + size if size else end
        if box_end < body or box_end > end:
            raise Unreadable(f"incomplete: a box ({_letters(kind)}) ends behind the file")
        yield Box(kind, body, box_end)
        start = box_end


def _letters(kind: bytes) -> str:
    return kind.decode("ascii", "replace") if kind.isalnum() else kind.hex()


def read(content: bytes) -> Heif:
    """Read the meta box; raises Unreadable, IndexError or struct.error if it is not whole."""
    top: dict[bytes, Box] = {}
    for box in boxes(content, 0, len(content)):
        top.setdefault(box.kind, box)
    if b"meta" not in top:
        raise Unreadable("incomplete: HEIF without a list of its pictures")
    inner: dict[bytes, Box] = {}
    for box in boxes(content, top[b"meta"].start + 4, top[b"meta"].end):
        inner.setdefault(box.kind, box)
    for wanted in (b"pitm", b"iinf", b"iloc", b"iprp"):
        if wanted not in inner:
            raise Unreadable("incomplete: HEIF without a list of its pictures")
    primary = inner[b"pitm"].start
    (number,) = struct.unpack_from(">I" if content[primary] else ">H", content, primary + 4)
    tiles, described = _references(content, inner[b"iref"]) if b"iref" in inner else ({}, {})
    properties, of_item = _properties(content, inner[b"iprp"])
    kinds, places = _kinds(content, inner[b"iinf"]), _places(content, inner[b"iloc"])
    data = inner[b"idat"].start if b"idat" in inner else len(content)
    has_film = b"moov" in top
    return Heif(
        *(content, number, kinds, places, tiles, described, properties, of_item, data, has_film)
    )


def _kinds(content: bytes, box: Box) -> dict[int, bytes]:
    found = {}
    start = box.start + (6 if content[box.start] == 0 else 8)
    for entry in boxes(content, start, box.end):
        version = content[entry.start]
        if entry.kind == b"infe" and version >= 2:
            item_as = ">I" if version > 2 else ">H"
            (item,) = struct.unpack_from(item_as, content, entry.start + 4)
            kind = entry.start + 4 + struct.calcsize(item_as) + 2
            found[item] = content[kind : kind + 4]
    return found


def _places(content: bytes, box: Box) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    version, place = content[box.start], box.start + 4
    sizes, more = content[place], content[place + 1]
    widths = sizes >> 4, sizes & 15, more >> 4, (more & 15 if version else 0)
    place += 2
    item_as = 4 if version == 2 else 2

    def number(width: int) -> int:
        nonlocal place
        if place + width > box.end:
            raise Unreadable("incomplete: HEIF without the places of its pictures")
        place += width
        return int.from_bytes(content[place - width : place])

    found = {}
    for _ in range(number(item_as)):
        item = number(item_as)
        method = number(2) & 15 if version else _IN_FILE
        number(2)
        base, extents = number(widths[2]), []
        for _ in range(number(2)):
            number(widths[3])
            extents.append((base + number(widths[0]), number(widths[1])))
        found[item] = method, extents
    return found


def _references(content: bytes, box: Box) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """Give the tiles of items, and which items describe others."""
    width = 4 if content[box.start] else 2
    tiles: dict[int, list[int]] = {}
    described: dict[int, list[int]] = {}
    for entry in boxes(content, box.start + 4, box.end):
        data = content[entry.start : entry.end]
        numbers = [int.from_bytes(data[:width])]
        count = int.from_bytes(data[width : width + 2])
        starts = range(width + 2, width + 2 + count * width, width)
        numbers += [int.from_bytes(data[k : k + width]) for k in starts if k + width <= len(data)]
        if entry.kind == b"dimg":
            tiles[numbers[0]] = numbers[1:]
        elif entry.kind == b"cdsc":
            for one in numbers[1:]:
                described.setdefault(one, []).append(numbers[0])
    return tiles, described


def _properties(content: bytes, box: Box) -> tuple[list[Box], dict[int, list[int]]]:
    properties: list[Box] = []
    of_item: dict[int, list[int]] = {}
    for inner in boxes(content, box.start, box.end):
        if inner.kind == b"ipco":
            properties += boxes(content, inner.start, inner.end)
        elif inner.kind == b"ipma":
            of_item |= _associations(content, inner)
    return properties, of_item


def _associations(content: bytes, box: Box) -> dict[int, list[int]]:
    version, is_wide = content[box.start], content[box.start + 3] & 1
    (count,) = struct.unpack_from(">I", content, box.start + 4)
    place, found = box.start + 8, {}
    item_as = ">I" if version else ">H"
    for _ in range(count):
        (item,) = struct.unpack_from(item_as, content, place)
        place += struct.calcsize(item_as)
        number = content[place]
        place += 1
        step = 2 if is_wide else 1
        ends = range(place + step, place + step * number + 1, step)
        mask = 0x7FFF if is_wide else 0x7F
        found[item] = [int.from_bytes(content[end - step : end]) & mask for end in ends]
        place += step * number
    return found


def _size(heif: Heif, item: int) -> tuple[int, int]:
    data = heif.said(item, b"ispe")
    if len(data) < 12:
        raise Unreadable("incomplete: HEIF without the size of its picture")
    width, height = struct.unpack_from(">II", data, 4)
    return width, height


def grid_of(heif: Heif) -> Grid | None:
    """Give the grid of the picture, None where it is in one piece."""
    if heif.kinds.get(heif.primary) != _GRID:
        return None
    data = heif.data(heif.primary)
    rows, columns = data[2] + 1, data[3] + 1
    return Grid(rows, columns, *struct.unpack_from(">II" if data[1] & 1 else ">HH", data, 4))


def _stated(content: bytes) -> Stated:
    heif = read(content)
    size = _size(heif, heif.primary)
    problem = _unsupported(heif, size)
    turns = heif.said(heif.primary, b"irot")
    return Stated(*(size[::-1] if turns and turns[0] & 1 else size), problem)


def _unsupported(heif: Heif, size: tuple[int, int]) -> str:
    if heif.coding not in _NAMES:
        return f"HEIF of the coding {_letters(heif.coding)} is not supported"
    if heif.has_film:
        return f"{heif.name} with a sequence of pictures: which one is meant is unknown"
    if heif.coding == AV1 and heif.said(heif.primary, b"clap"):
        return "AVIF with a crop is not supported"
    grid = grid_of(heif)
    if grid and (grid.width, grid.height) != size:
        return f"{heif.name} of two sizes: which one is meant is unknown"
    if heif.coding == HEVC:
        for item in heif.coded:
            found = hevc.size_of(heif.said(item, b"hvcC"))
            stated = _size(heif, item)
            if found != stated and not hevc.is_padded(found, stated):
                says = f"{stated[0]} x {stated[1]}, is coded as {found[0]} x {found[1]}"
                return f"damaged: the HEIC states {says}"
    return ""


def _lacking(content: bytes) -> str:
    heif = read(content)
    if reason := _lacking_tiles(heif):
        return reason
    for number, item in enumerate(heif.coded, 1):
        data, where = heif.data(item), heif.called(number)
        if heif.coding == HEVC:
            reason = hevc.lacking_units(data, heif.said(item, b"hvcC"), where)
        else:
            reason = _lacking_av1(data, where)
        if reason:
            return reason
    return ""


def _lacking_tiles(heif: Heif) -> str:
    grid = grid_of(heif)
    if not grid:
        return ""
    wanted = grid.rows * grid.columns
    if len(heif.coded) != wanted:
        return f"incomplete: the file holds {len(heif.coded)} of {wanted} tiles of the {heif.name}"
    width, height = _size(heif, heif.coded[0])
    if math.ceil(grid.width / width) != grid.columns or math.ceil(grid.height / height) > grid.rows:
        return f"incomplete: the tiles of the {heif.name} do not cover it"
    kinds = {heif.kinds.get(item) for item in heif.coded}
    return "" if len(kinds) == 1 else f"{heif.name} of tiles of various codings is not supported"


def _lacking_av1(data: bytes, where: str) -> str:
    try:
        end = end_of_pixels(data)
    except Unreadable:
        return f"incomplete: {where} is cut off"
    if not end:
        return f"incomplete: {where} has no pixels"
    if bytes(_HOLE) in data or not any(data[end - _TAIL : end]):
        return f"damaged: zero bytes stand in the compressed pixels of {where}"
    return ""


def end_of_pixels(data: bytes) -> int:
    """Give where the last unit of AV1 ends that holds pixels; 0 if there is none."""
    place = found = 0
    while place < len(data):
        head = data[place]
        place += 1 + (head >> 2 & 1)
        # Only the last one may lack its size.
        size = len(data) - place
        if head & 2:
            size, place = _leb128(data, place)
        place += size
        if place > len(data):
            raise Unreadable("incomplete: the picture of the AVIF is cut off")
        if (head >> 3 & 15) in (_OBU_FRAME, _OBU_TILES):
            found = place
    return found


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    found = 0
    for k in range(8):
        if place + k >= len(data):
            break
        found |= (data[place + k] & 127) << 7 * k
        if not data[place + k] & 128:
            return found, place + k + 1
    return len(data), place


def _profile(content: bytes) -> bytes:
    heif = read(content)
    items = (heif.primary, *heif.coded[:1])
    several = [(heif.properties[k - 1], item) for item in items for k in heif.of_item.get(item, [])]
    spaces = [content[box.start : box.end] for box, _ in several if box.kind == b"colr"]
    for space in spaces:
        if space[:4] in (b"prof", b"rICC"):
            return space[4:]
    for space in spaces:
        if space[:4] == b"nclx" and len(space) >= 10:
            return coded(*struct.unpack_from(">HH", space, 4))
    return of_exif(exif_of(heif))


def exif_of(heif: Heif) -> bytes:
    """Give the EXIF of the picture, empty where there is none."""
    for item in heif.described.get(heif.primary, []):
        if heif.kinds.get(item) == b"Exif":
            try:
                data = heif.data(item)
            except Unreadable:
                # EXIF that cannot be read says nothing, as in other formats.
                return b""
            return data[4 + int.from_bytes(data[:4]) :]
    return b""


HEIF = Parts(_stated, _lacking, _profile)
