"""Whether a decoder reads compressed pixels to their end, and no further.

libde265, and libwebp for eight bytes, go on with zero bits where a picture ends too early; both and
dav1d stop early where bytes are absent in its middle. None of them says so. Decoding a changed copy
tells: bytes that are added at the end change no pixel of a whole picture, and other bytes in place
of the last ones change some.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from hambatch.pipelines.formats import heif, hevc, webp
from hambatch.pipelines.formats.heif import Heif
from hambatch.pipelines.formats.opening import decoded_as, open_picture
from hambatch.system.files import sha256_of_bytes

_LAST = 16
"""Bytes at the end that are changed. The last ones may change nothing that is seen, as they fill up
the picture: of 900 whole WebPs and 1,000 AVIFs four had a change of 6 bytes without effect, none
one of 8."""

_LAST_OF_HEVC = 64
"""Of HEIC: its end may be of pixels beyond the edge. Of 1,100 one had a change of 20 bytes without
effect, none one of 24."""

_ADDED = b"\x55" * 8

_SMALLEST = 4 * _LAST_OF_HEVC
"""Compressed bytes of the smallest picture that is looked at: of one colour, or nearly so."""


def lacking_when_decoded(content: bytes) -> str:
    """Say that the compressed pixels of a picture that can be decoded are not all there."""
    kind = decoded_as(content)
    if kind == "webp":
        return _lacking_webp(content)
    if kind not in ("heic", "avif"):
        return ""
    picture = heif.read(content)
    for number, item in enumerate(picture.coded, 1):
        check = _lacking_hevc if kind == "heic" else _lacking_av1
        if reason := check(picture, item, picture.called(number)):
            return reason
    return ""


def _lacking_webp(content: bytes) -> str:
    start, end = webp.picture_of(content)
    whole = _pixels(content)
    if _pixels(webp.with_picture(content, content[start:end] + _ADDED)) != whole:
        return "incomplete: the WebP is cut off"
    if end - start < _SMALLEST or _pixels(_changed(content, end, _LAST)) != whole:
        return ""
    return "incomplete: pixels of the WebP end before its data"


def _lacking_av1(picture: Heif, item: int, where: str) -> str:
    data = picture.data(item)
    end = heif.end_of_pixels(data)
    if end < _SMALLEST or _differs(picture, item, data, _changed(data, end, _LAST)):
        return ""
    return f"incomplete: pixels of {where} end before its data"


def _lacking_hevc(picture: Heif, item: int, where: str) -> str:
    data = picture.data(item)
    width = hevc.length_bytes(picture.said(item, b"hvcC"))
    units = list(hevc.units_of(data, width))
    of_pixels = [k for k, unit in enumerate(units) if hevc.has_pixels(unit)]
    longer = [u + _ADDED if k in of_pixels else u for k, u in enumerate(units)]
    if _differs(picture, item, data, hevc.joined(longer, width)):
        return f"incomplete: {where} is cut off"
    last = units[of_pixels[-1]].rstrip(b"\0\3")
    if len(last) < _SMALLEST:
        return ""
    others = [*units]
    others[of_pixels[-1]] = _changed(last, len(last), _LAST_OF_HEVC)
    if _differs(picture, item, data, hevc.joined(others, width)):
        return ""
    return f"incomplete: pixels of {where} end before its data"


def _changed(data: bytes, end: int, size: int) -> bytes:
    """Give a copy with other bytes in place of the last ones, none of them zero."""
    others = bytes(byte ^ 0x55 or 0x55 for byte in data[end - size : end])
    return data[: end - size] + others + data[end:]


def _differs(picture: Heif, item: int, data: bytes, other: bytes) -> bool:
    """Tell whether an item has other pixels with other data; those of data are kept."""
    return _pixels(_alone(picture, item, data)) != _pixels(_alone(picture, item, other))


def _pixels(content: bytes) -> str:
    """Give a hash of the decoded pixels, empty if they cannot be decoded."""
    found = _array(content)
    return "" if found is None else sha256_of_bytes(found.tobytes())


def _array(content: bytes) -> NDArray[np.uint8] | None:
    """Give the decoded pixels as they are, None if they cannot be decoded."""
    try:
        with open_picture(content).image as image:
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError):
        return None


def _alone(picture: Heif, item: int, data: bytes) -> bytes:
    """Write a file that holds one item, as it is coded."""
    kind = picture.kinds[item]
    configuration = b"hvcC" if kind == heif.HEVC else b"av1C"
    said = [(name, picture.said(item, name)) for name in (b"ispe", configuration, b"pixi")]
    properties = [_box(name, value) for name, value in said if value]
    brand = b"heic" if kind == heif.HEVC else b"avif"
    start = _box(b"ftyp", brand + bytes(4) + brand + b"mif1")
    numbers = bytes(range(1, len(properties) + 1))
    used = struct.pack(">IHB", 1, 1, len(numbers)) + bytes(k | 0x80 for k in numbers)

    def meta(place: int) -> bytes:
        places = b"\x44\0" + struct.pack(">HHHHII", 1, 1, 0, 1, place, len(data))
        entry = struct.pack(">HH", 1, 0) + kind + b"\0"
        parts = _full(b"hdlr", bytes(4) + b"pict" + bytes(13)) + _full(b"pitm", b"\0\1")
        parts += _full(b"iloc", places)
        parts += _full(b"iinf", b"\0\1" + _full(b"infe", entry, 2))
        described = _box(b"ipco", b"".join(properties)) + _full(b"ipma", used)
        return _full(b"meta", parts + _box(b"iprp", described))

    size = len(start) + len(meta(0)) + 8
    return start + meta(size) + _box(b"mdat", data)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _full(kind: bytes, content: bytes, version: int = 0) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]) + content)
