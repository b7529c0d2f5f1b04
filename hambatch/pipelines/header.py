"""What a JPEG or PNG says of itself before anything is decoded; about 5 us a file.

Stricter than the decoders: a file whose segments do not follow one another has no
readable header here, and no batch ever sees it.
"""

from typing import NamedTuple

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"

_FRAMES_OF_JPEG = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xDA)})
_START_OF_SCAN, _ADOBE, _APP1 = 0xDA, 0xEE, 0xE1

_CHANNELS_OF_PNG = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})


class Header(NamedTuple):
    """Width and height as stored, before EXIF turns them.

    ``coding`` is a JPEG's frame marker, 0xC0 to 0xCF, and 0 for PNG. ``adobe``
    tells that a JPEG has Adobe's colour marker. ``animated`` is a PNG's number of
    frames, 0 for a still. ``text_exif`` tells that a PNG has EXIF in a text chunk,
    ``exifs`` how many blocks of EXIF there are elsewhere.
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

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def odd_exif(self) -> bool:
        """Whether DALI must not see it.

        It does not look into text chunks. Of several blocks, DALI 2.4 takes the
        size of the picture from one and its orientation from another, and
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
    except IndexError:
        pass
    return None


def _jpeg(content: bytes) -> Header | None:
    frame, adobe, exifs, place = 0, False, 0, 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:
            # Any number of fill bytes may stand before a marker.
            place += 1
            continue
        if marker in _WITHOUT_LENGTH or marker == 0:
            return None
        if marker == _START_OF_SCAN:
            return _jpeg_frame(content, frame, adobe, exifs) if frame else None
        if marker in _FRAMES_OF_JPEG:
            if frame:
                return None
            frame = place
        exifs += marker == _APP1 and content.startswith(b"Exif\0", place + 4)
        adobe = adobe or (marker == _ADOBE and content[place + 4 : place + 9] == b"Adobe")
        place += 2 + (content[place + 2] << 8 | content[place + 3])
    return None


def _jpeg_frame(content: bytes, place: int, adobe: bool, exifs: int) -> Header:
    coding, bits, channels = content[place + 1], content[place + 4], content[place + 9]
    height = content[place + 5] << 8 | content[place + 6]
    width = content[place + 7] << 8 | content[place + 8]
    return Header(width, height, bits, channels, coding, adobe, exifs=exifs)


def _png(content: bytes) -> Header | None:
    if content[8:16] != b"\x00\x00\x00\x0dIHDR":
        return None
    width, height = int.from_bytes(content[16:20]), int.from_bytes(content[20:24])
    bits, channels = content[24], _CHANNELS_OF_PNG.get(content[25], 0)
    animated, exifs, text_exif, pixels, place = 0, 0, False, False, 33
    # To the end of the file: EXIF may stand after the pixels as well.
    while (kind := content[place + 4 : place + 8]) != b"IEND":
        if len(kind) < 4:
            break
        pixels = pixels or kind == b"IDAT"
        exifs += kind == b"eXIf"
        if kind == b"acTL":
            animated = max(1, int.from_bytes(content[place + 8 : place + 12]))
        elif kind in _TEXT_CHUNKS:
            text_exif |= content.startswith(b"Raw profile type ", place + 8)
        place += 12 + int.from_bytes(content[place : place + 4])
    if not pixels:
        return None
    return Header(width, height, bits, channels, 0, False, animated, text_exif, exifs)


def without_extras(content: bytes) -> bytes | None:
    """Give a JPEG with only what decoding its samples needs, or None if there is no scan.

    Application data, comments and garbage between segments are left out, found the
    way libjpeg finds them. What warns then, warns of the samples: libjpeg prints
    the first warning of a file only, and a harmless one would hide the others.
    """
    kept, place = [b"\xff\xd8"], 2
    while (place := content.find(b"\xff", place)) >= 0 and place + 4 <= len(content):
        marker = content[place + 1]
        if marker in (0x00, 0xFF) or marker in _WITHOUT_LENGTH:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _START_OF_SCAN:
            return b"".join([*kept, content[place:]])
        end = place + 2 + (content[place + 2] << 8 | content[place + 3])
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(content[place:end])
        place = end
    return None
