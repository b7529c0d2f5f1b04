"""WebP: a RIFF file with one picture, lossy or lossless, and what belongs to it [1]_.

References
----------
.. [1] https://developers.google.com/speed/webp/docs/riff_container
"""

import struct
from collections.abc import Iterator

from hambatch.pipelines.colour_profile import of_exif
from hambatch.pipelines.formats.stated import Parts, Stated, Unreadable
from hambatch.pipelines.orientation import orientation_of

_EXTENDED, _LOSSLESS, _LOSSY = b"VP8X", b"VP8L", b"VP8 "
_SAYS_ICC, _SAYS_ANIMATION = 0x20, 0x02
_START_OF_FRAME = b"\x9d\x01\x2a"


def chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the chunks; the end may lie beyond that of the file."""
    place, end = 12, 8 + int.from_bytes(content[4:8], "little")
    while place + 8 <= min(end, len(content)):
        kind, size = struct.unpack_from("<4sI", content, place)
        yield kind, place + 8, place + 8 + size
        place += 8 + size + (size & 1)


def _stated(content: bytes) -> Stated:
    kind, start = content[12:16], 20
    if kind == _EXTENDED:
        flags = content[start]
        width = 1 + int.from_bytes(content[start + 4 : start + 7], "little")
        height = 1 + int.from_bytes(content[start + 7 : start + 10], "little")
        frames = sum(kind == b"ANMF" for kind, _, _ in chunks(content))
        if flags & _SAYS_ANIMATION or frames:
            problem = f"animated WebP of {frames} frames: which one is meant is unknown"
            return Stated(width, height, problem)
        return Stated(width, height, "", orientation_of(_chunk(content, b"EXIF")))
    if kind == _LOSSY and content[start + 3 : start + 6] == _START_OF_FRAME:
        width, height = struct.unpack_from("<HH", content, start + 6)
        return Stated(width & 0x3FFF, height & 0x3FFF)
    if kind == _LOSSLESS and content[start] == 0x2F:
        (size,) = struct.unpack_from("<I", content, start + 1)
        return Stated((size & 0x3FFF) + 1, (size >> 14 & 0x3FFF) + 1)
    raise Unreadable("damaged: the header of the WebP holds no size")


def picture_of(content: bytes) -> tuple[int, int]:
    """Give where the compressed picture begins and ends; 0, 0 if there is none."""
    found = ((start, end) for kind, start, end in chunks(content) if kind in (_LOSSLESS, _LOSSY))
    return next(found, (0, 0))


def with_picture(content: bytes, data: bytes) -> bytes:
    """Write the same file with other compressed pixels."""
    start, end = picture_of(content)
    rest = content[end + (end - start) % 2 : 8 + int.from_bytes(content[4:8], "little")]
    size = struct.pack("<I", len(data))
    body = content[8 : start - 4] + size + data + bytes(len(data) % 2) + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _lacking(content: bytes) -> str:
    size = 8 + int.from_bytes(content[4:8], "little")
    if size > len(content):
        return f"incomplete: the file holds {len(content)} of the WebP's {size} bytes"
    start, end = picture_of(content)
    if not start:
        return "incomplete: WebP without a picture"
    if end > size:
        return "incomplete: the picture of the WebP ends behind the file"
    if content[12:16] == _EXTENDED and content[20] & _SAYS_ICC and not _chunk(content, b"ICCP"):
        return "incomplete: WebP without the colour profile that its header announces"
    return ""


def _profile(content: bytes) -> bytes:
    return _chunk(content, b"ICCP") or of_exif(_chunk(content, b"EXIF"))


def _chunk(content: bytes, wanted: bytes) -> bytes:
    found = (content[start:end] for kind, start, end in chunks(content) if kind == wanted)
    return next(found, b"")


WEBP = Parts(_stated, _lacking, _profile)
