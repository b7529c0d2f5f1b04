"""What a picture says of itself before anything is decoded, and which are suspects."""

import struct
from typing import NamedTuple

from hambatch.pipelines.colour_profile import ADOBE_MARKS, COLOUR_CHUNKS, ICC_MARK
from hambatch.pipelines.jpeg_codes import TABLES, may_have_hole, repeats_a_symbol
from hambatch.pipelines.jpeg_scans import has_more_scans, lacking_scans, too_many_scans
from hambatch.pipelines.png_parts import CHANNELS, lacking_colours
from hambatch.pipelines.segments import END_OF_IMAGE, START_OF_SCAN, jpeg_segments, png_chunks
from hambatch.sources.content import JPEG_START, PNG_START, SUPPORTED, kind_of
from hambatch.sources.reading import Limits

FAST_PIXELS = 16_000_000
"""Larger images are decoded one at a time; so many are 48 MB as RGB."""

_NOT_READ, _NOT_JPEG_OR_PNG = "not an image that hambatch reads", "not a JPEG or PNG image"

NO_IMAGE = (_NOT_READ, _NOT_JPEG_OR_PNG)
"""How the reason of such a file begins; the name of its kind follows. The second is that of earlier
versions, and of ``--no-all-formats``."""

_SAMPLE, _FEW_VALUES = 64, 24

_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"

_FRAMES_OF_JPEG = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_ADOBE, _APP1, _APP2 = 0xEE, 0xE1, 0xE2
_USUAL_CODINGS = frozenset({0xC0, 0xC1, 0xC2})
_UNUSUAL_CODINGS = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless JPEG is"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "hierarchical JPEG is"),
    **dict.fromkeys((0xC9, 0xCA), "JPEG with arithmetic coding is"),
}

_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})


def is_suspect(content: bytes, limits: Limits) -> bool:
    """Tell whether the file should be decoded alone, away from the batch, or not at all."""
    header = read_header(content)
    if header is None or header.odd or header.pixels > FAST_PIXELS:
        return True
    if not _has_end(content) or _refusal_by_header(header, limits):
        return True
    if _may_be_empty(content, header) or (header.coloured and not _says_srgb(content)):
        return True
    return _lacks_a_part(content, header)


def _lacks_a_part(content: bytes, header: "Header") -> bool:
    if not header.coding:
        return bool(lacking_colours(content))
    if may_have_hole(content, header.start):
        return True
    more = has_more_scans(content, header.coding, header.channels, header.start)
    return more and bool(lacking_scans(content))


def _may_be_empty(content: bytes, header: "Header") -> bool:
    """Tell whether so few bytes hold the pixels, or such equal ones, that all of them may be equal.

    A JPEG of one colour has 3/128 bytes a pixel at most, the smallest of 20,000 dermatoscopic
    images 0.038. More has one with a restart marker behind each block, or a PNG that is not
    compressed: there few values repeat, where 64 bytes of a compressed picture have about 57.
    Only the slow lane looks at pixels.
    """
    if len(content) - header.start < header.pixels // 32 + 64:
        return True
    middle = (header.start + len(content)) // 2
    return len(set(content[middle : middle + _SAMPLE])) <= _FEW_VALUES


def _says_srgb(content: bytes) -> bool:
    # Most files say nothing, and need no LittleCMS.
    from hambatch.pipelines.srgb import says_srgb

    return says_srgb(content)


def is_cut_off(content: bytes) -> bool:
    """Tell whether the file begins as an image and lacks its end."""
    return read_header(content) is not None and not _has_end(content)


def _has_end(content: bytes) -> bool:
    return content.endswith(_PNG_END if content.startswith(PNG_START) else _JPEG_END)


def refusal(content: bytes, limits: Limits) -> str:
    """Give the reason not to decode the file at all, or an empty string."""
    if not content:
        return "empty file"
    if (found := kind_of(content)) not in SUPPORTED:
        return _refusal_of_other(found, content, limits)
    header = read_header(content)
    if not header:
        return ""
    reason = _refusal_by_header(header, limits)
    return reason or (too_many_scans(content) if header.coding else lacking_colours(content))


def _refusal_of_other(kind: str, content: bytes, limits: Limits) -> str:
    if limits.all_formats:
        # Few folders hold such files.
        from hambatch.pipelines.formats.table import FORMATS

        if kind in FORMATS:
            return FORMATS[kind].refusal(content, limits)
        return f"{_NOT_READ} ({kind})"
    return f"{_NOT_JPEG_OR_PNG} ({kind})"


def stated_pixels(content: bytes) -> int:
    """Give width times height as the header of any decoded format says; 0 if it does not."""
    if header := read_header(content):
        return header.pixels
    from hambatch.pipelines.formats.table import format_of

    found = format_of(content)
    return found.pixels(content) if found else 0


def _refusal_by_header(header: "Header", limits: Limits) -> str:
    if not header.pixels:
        return f"the header says {header.width} x {header.height} pixels"
    if header.animated:
        return f"animated PNG of {header.animated} frames: which one is meant is unknown"
    if header.exifs > 1 and not header.coding:
        return f"PNG with {header.exifs} blocks of EXIF: which one is meant is unknown"
    reason = _refusal_of_jpeg(header) if header.coding else ""
    size = header.width, header.height
    return reason or limits.too_many_pixels(*size) or limits.wrong_shape(*size)


def _refusal_of_jpeg(header: "Header") -> str:
    if header.coding not in _USUAL_CODINGS:
        return f"{_UNUSUAL_CODINGS[header.coding]} not supported"
    if header.bits != 8:
        return f"JPEG of {header.bits} bits a sample is not supported"
    if header.channels == 4 and not header.adobe:
        return "JPEG of four channels without Adobe's marker: its colours are ambiguous"
    if header.channels not in (1, 3, 4):
        return f"JPEG of {header.channels} channels is not supported"
    return ""


class Header(NamedTuple):
    """Width and height as stored, before EXIF turns them.

    ``coding`` is a JPEG's frame marker, 0xC0 to 0xCF, and 0 for PNG. ``adobe``
    tells that a JPEG has Adobe's colour marker. ``animated`` is a PNG's number of
    frames, 0 for a still. ``text_exif`` tells that a PNG has EXIF in a text chunk,
    ``exifs`` how many blocks of EXIF there are elsewhere. ``coloured`` tells that the
    file may say that its colours are not sRGB; its pixels begin at ``start``. ``odd_tables`` tells
    that a Huffman table is damaged.
    """

    width: int
    height: int
    bits: int
    channels: int
    coding: int = 0
    adobe: bool = False
    animated: int = 0
    text_exif: bool = False
    exifs: int = 0
    coloured: bool = False
    start: int = 0
    odd_tables: bool = False

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def odd(self) -> bool:
        """Whether it needs a closer look, whatever else there is."""
        return self.odd_exif or self.odd_tables

    @property
    def odd_exif(self) -> bool:
        """Whether DALI must not decode it.

        It does not look into text chunks. Of several blocks, DALI 2.4 takes the
        size of the image from one and its orientation from another, and
        writes past its buffer.
        """
        return self.text_exif or self.exifs > 1


def read_header(content: bytes) -> Header | None:
    """Parse what is not pixel data; None for what is no regular JPEG or PNG."""
    try:
        if content.startswith(JPEG_START):
            return _jpeg(content)
        if content.startswith(PNG_START):
            return _png(content)
    except (IndexError, struct.error):
        pass
    return None


def _jpeg(content: bytes) -> Header | None:
    frame, adobe, exifs, coloured, odd_tables, place = 0, False, 0, False, False, 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:
            # Any number of fill bytes may stand before a marker.
            place += 1
            continue
        if marker in _WITHOUT_LENGTH or marker == 0:
            return None
        if marker == START_OF_SCAN:
            if not frame:
                return None
            coding, bits, height, width, channels = struct.unpack_from(">xBxxBHHB", content, frame)
            said = coding, adobe, 0, False, exifs, coloured, place, odd_tables
            return Header(width, height, bits, channels, *said)
        if marker in _FRAMES_OF_JPEG:
            if frame:
                return None
            frame = place
        end = place + 2 + (content[place + 2] << 8 | content[place + 3])
        if marker == _APP1 and content.startswith(b"Exif\0", place + 4):
            exifs += 1
            coloured = coloured or _says_adobe_rgb(content, place, end)
        elif marker == TABLES:
            odd_tables = odd_tables or repeats_a_symbol(content[place + 4 : end])
        elif marker == _APP2:
            coloured = coloured or content.startswith(ICC_MARK, place + 4)
        adobe = adobe or (marker == _ADOBE and content[place + 4 : place + 9] == b"Adobe")
        place = end
    return None


def _says_adobe_rgb(content: bytes, start: int, end: int) -> bool:
    return any(content.find(mark, start, end) >= 0 for mark in ADOBE_MARKS)


def _png(content: bytes) -> Header | None:
    if content[8:16] != b"\x00\x00\x00\x0dIHDR":
        return None
    width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
    channels = CHANNELS.get(colour, 0)
    animated, exifs, text_exif, coloured, pixels = 0, 0, False, False, 0
    # To the end of the file: EXIF may stand after the pixels as well.
    for kind, start, end in png_chunks(content):
        if kind == b"IDAT":
            pixels = pixels or start
        elif kind == b"eXIf":
            exifs += 1
            coloured = coloured or _says_adobe_rgb(content, start, end)
        elif kind in COLOUR_CHUNKS:
            coloured = True
        elif kind == b"acTL":
            animated = max(1, int.from_bytes(content[start : start + 4]))
        elif kind in _TEXT_CHUNKS:
            text_exif |= content.startswith(b"Raw profile type ", start)
    if not pixels:
        return None
    said = 0, False, animated, text_exif, exifs, coloured, pixels
    return Header(width, height, bits, channels, *said)


def without_extras(content: bytes) -> bytes | None:
    """Give a JPEG with only what decoding its samples needs, or None if there is no scan.

    Application data, comments and garbage between segments are left out. A warning is then about
    the samples: libjpeg prints the first warning of a file only, and a harmless one would hide the
    others.
    """
    kept = [b"\xff\xd8"]
    for marker, start, end in jpeg_segments(content):
        if marker == START_OF_SCAN:
            return b"".join([*kept, content[start:]])
        if not (0xE0 <= marker <= 0xEF or marker in (0xFE, END_OF_IMAGE)):
            kept.append(content[start:end])
    return None
