"""What a codestream of JPEG 2000 says of itself, and whether all its parts are there.

OpenJPEG decodes what there is: a tile that is absent is black, and zeros in place of packets blur
the picture, without a warning.
"""

import struct
from dataclasses import dataclass

from hambatch.pipelines.dicom.image import DicomImage
from hambatch.pipelines.formats.jpeg2000_packets import lacking_of_codestream
from hambatch.pipelines.pillow_lane import UndecodableImage

_SOC, _SIZ, _COD, _SOT, _EOC = 0xFF4F, 0xFF51, 0xFF52, 0xFF90, 0xFFD9
_JP2 = b"\x00\x00\x00\x0cjP  "
_MOST_TILES = 65_535

_HOLE = 64
_MANY_PACKETS = 1 << 16
"""More than a stretch of zeros is looked for where the size of the packets is not the usual one."""


@dataclass(frozen=True)
class Codestream:
    """The main header: size, samples, and how many bytes that are zero may follow each other.

    ``components`` holds for each its bits, and whether it is signed or has fewer samples than the
    image has pixels. ``colours_transformed``: the decoder gives RGB (ITU-T T.800, annex G).
    """

    width: int
    height: int
    tiles: int
    components: tuple[tuple[int, bool], ...]
    colours_transformed: bool
    packets: int
    start: int


def codestream_of(frame: bytes) -> bytes:
    """Give the codestream of a frame, where that is a whole JP2 file, against the standard."""
    if not frame.startswith(_JP2):
        return frame
    place = 0
    while place + 8 <= len(frame):
        size, kind = struct.unpack_from(">I4s", frame, place)
        if kind == b"jp2c":
            if size == 1:
                raise UndecodableImage("damaged: JPEG 2000 in a box of 64 bits")
            return frame[place + 8 : place + size if size else len(frame)]
        place += max(size, 8)
    raise UndecodableImage("incomplete: JPEG 2000 without a codestream")


def checked(codestream: bytes, image: DicomImage) -> Codestream:
    """Parse the main header, and raise UndecodableImage for what does not fit or is absent."""
    try:
        found = _main_header(codestream)
        reason = _misfit(found, image) or _lacking(codestream, found)
        reason = reason or lacking_of_codestream(codestream)
    except (struct.error, IndexError, ZeroDivisionError):
        reason = "incomplete: the header of the JPEG 2000 is not whole"
    if reason:
        raise UndecodableImage(reason)
    return found


def _main_header(codestream: bytes) -> Codestream:
    if struct.unpack_from(">HH", codestream) != (_SOC, _SIZ):
        raise UndecodableImage("damaged: the pixels of the DICOM are no JPEG 2000")
    right, bottom, left, top, tile_width, tile_height, tile_left, tile_top, count = (
        struct.unpack_from(">8IH", codestream, 8)
    )
    components = []
    for k in range(count):
        depth, across, down = codestream[42 + 3 * k : 45 + 3 * k]
        components.append(((depth & 0x7F) + 1, depth >= 0x80 or (across, down) != (1, 1)))
    tiles = -(-(right - tile_left) // tile_width) * -(-(bottom - tile_top) // tile_height)
    place, style = 2, (0, 0, 0, 0)
    while (marker := struct.unpack_from(">H", codestream, place)[0]) != _SOT:
        if marker == _COD:
            # Scod, layers, whether colours are transformed, levels of decomposition.
            style = struct.unpack_from(">BxHBB", codestream, place + 4)
        place += 2 + struct.unpack_from(">H", codestream, place + 2)[0]
    scod, layers, transformed, levels = style
    packets = _MANY_PACKETS if scod & 1 else layers * (levels + 1) * count
    size = right - left, bottom - top
    return Codestream(*size, tiles, tuple(components), bool(transformed), packets, place)


def _misfit(found: Codestream, image: DicomImage) -> str:
    if (found.width, found.height) != (image.columns, image.rows):
        return (
            f"damaged: the DICOM says {image.columns} x {image.rows} pixels, "
            f"its JPEG 2000 {found.width} x {found.height}"
        )
    if found.components != ((image.stored, False),) * image.samples:
        return (
            f"damaged: the DICOM says {image.samples} samples of {image.stored} bits, its JPEG "
            f"2000 others"
        )
    return ""


def _lacking(codestream: bytes, header: Codestream) -> str:
    """Walk over the tile-parts, each of which says how long it is and which one of how many."""
    if header.tiles > _MOST_TILES:
        return "damaged: JPEG 2000 of too many tiles"
    there: dict[int, int] = {}
    wanted: dict[int, int] = {}
    place, end = header.start, len(codestream) - 2
    if codestream[end:] != b"\xff\xd9":
        return "incomplete: JPEG 2000 without its end marker"
    while place < end:
        marker, _, tile, length, part, parts = struct.unpack_from(">HHHIBB", codestream, place)
        if marker != _SOT or tile >= header.tiles or part != there.get(tile, 0):
            return "incomplete: a part of a tile of the JPEG 2000 is absent"
        there[tile] = part + 1
        wanted[tile] = max(wanted.get(tile, 1), parts)
        place = place + length if length else end
    if place != end or len(there) < header.tiles or any(wanted[k] > there[k] for k in there):
        return "incomplete: a tile of the JPEG 2000 is not whole"
    hole = bytes(max(_HOLE, header.packets))
    return "damaged: zero bytes stand where pixels should be" if hole in codestream else ""
