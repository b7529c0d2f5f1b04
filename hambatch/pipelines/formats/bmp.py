"""BMP: a header, a palette or none, and rows of pixels, compressed by run lengths or not [1]_.

References
----------
.. [1] https://learn.microsoft.com/windows/win32/gdi/bitmap-storage, MS-WMF 2.2.2.
"""

import struct
from typing import NamedTuple

from hambatch.pipelines.colour_profile import SRGB, UnusableProfile
from hambatch.pipelines.formats.stated import Parts, Stated, Unreadable, block_hole_in, hole_in

_FILE_HEADER, _OLD, _USUAL, _WITH_COLOURS, _WITH_PROFILE = 14, 12, 40, 108, 124
_NONE, _RLE8, _BIT_FIELDS = 0, 1, 3
_CALIBRATED, _EMBEDDED, _LINKED = 0, b"DEBM", b"KNIL"
_NEAR = 0.01
"""By which primaries may differ from sRGB's: they are rounded by whoever writes them."""


class _Header(NamedTuple):
    start: int
    size: int
    width: int
    height: int
    bits: int
    compression: int
    data_size: int
    colours: int

    @property
    def row(self) -> int:
        """Bytes of a row, filled up to a multiple of four."""
        return (self.width * self.bits + 31) // 32 * 4


def _header(content: bytes) -> _Header:
    start, size = struct.unpack_from("<II", content, 10)
    if size == _OLD:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        said = (bits, _NONE, 0, 1 << bits if bits <= 8 else 0)
        return _Header(start, size, width, height, *said)
    if size < _USUAL:
        raise Unreadable(f"BMP of a header of {size} bytes is not supported")
    width, height, _, bits, compression, data_size = struct.unpack_from("<iiHHII", content, 18)
    (colours,) = struct.unpack_from("<I", content, 46)
    colours = (colours or 1 << bits) if bits <= 8 else 0
    return _Header(start, size, width, abs(height), bits, compression, data_size, colours)


def _stated(content: bytes) -> Stated:
    header = _header(content)
    # Pillow 13 drops pixels of four bits, and fills up relative to the file.
    if header.compression not in (_NONE, _RLE8, _BIT_FIELDS) or _is_odd(header):
        problem = f"BMP of the compression {header.compression} is not supported"
    elif header.bits not in (1, 4, 8, 16, 24, 32):
        problem = f"BMP of {header.bits} bits a pixel is not supported"
    elif header.colours > 1 << header.bits:
        problem = f"BMP of {header.colours} colours for {header.bits} bits is not supported"
    else:
        problem = ""
    return Stated(max(header.width, 0), header.height, problem)


def _is_odd(header: _Header) -> bool:
    return header.compression == _RLE8 and (header.bits != 8 or header.start % 2 == 1)


def _lacking(content: bytes) -> str:
    header = _header(content)
    palette = _FILE_HEADER + header.size + header.colours * (3 if header.size == _OLD else 4)
    if header.colours and palette > header.start:
        return "incomplete: the palette of the BMP reaches into its pixels"
    if header.compression == _RLE8:
        return _lacking_codes(content, header)
    asked = header.row * header.height
    found = len(content) - header.start
    size = f"{header.width} x {header.height} pixels"
    if found < asked:
        return f"incomplete: the file holds {max(found, 0)} of {asked} bytes of the BMP's {size}"
    if header.data_size and header.data_size < asked:
        return f"incomplete: the BMP states {header.data_size} bytes for {size}, it needs {asked}"
    if header.data_size >= asked + header.row:
        return f"incomplete: the file holds more pixels than the BMP's {size}"
    return block_hole_in(content, header.start, header.start + asked, "BMP")


def _lacking_codes(content: bytes, header: _Header) -> str:
    end = len(content)
    if header.data_size:
        end = header.start + header.data_size
    if end > len(content):
        return "incomplete: the compressed pixels of the BMP end behind the file"
    try:
        found, ended = _coded_pixels(content, header, end)
    except IndexError:
        return "incomplete: the compressed pixels of the BMP have no end"
    asked = header.width * header.height
    if found != asked:
        return f"incomplete: the file holds {found} of {asked} pixels of the BMP"
    if not ended:
        return "incomplete: the end of the BMP's compressed pixels is missing"
    return hole_in(content, header.start, end, "BMP")


def _coded_pixels(content: bytes, header: _Header, end: int) -> tuple[int, bool]:
    """Count the pixels that codes write, none twice, and tell whether the end mark follows.

    A code that moves on leaves pixels out. Raises IndexError at the end of the file.
    """
    place, column, row, found = header.start, 0, 0, 0
    while place < end:
        count, value = content[place], content[place + 1]
        place += 2
        if count == 0:
            if value == 0:
                column, row = 0, row + 1
                continue
            if value == 1:
                return found, True
            if value == 2:
                column, row = column + content[place], row + content[place + 1]
                place += 2
                continue
            count = value
            # Filled up to a multiple of two.
            place += count + count % 2
        column += count
        if row >= header.height or column > header.width:
            # More than the header says: what these pixels are is unknown.
            return found + header.width * header.height, False
        found += count
    return found, False


def colours_of(content: bytes) -> int:
    """Give how many colours the palette has, 0 where there is none."""
    return _header(content).colours


def _profile(content: bytes) -> bytes:
    header = _header(content)
    if header.size < _WITH_COLOURS:
        return b""
    space = content[70:74]
    if header.size >= _WITH_PROFILE and space == _EMBEDDED:
        start, size = struct.unpack_from("<II", content, 126)
        profile = content[_FILE_HEADER + start : _FILE_HEADER + start + size]
        if not profile or len(profile) < size:
            raise UnusableProfile("colour profile is not whole; its colours are unknown")
        return profile
    if space == _LINKED:
        raise UnusableProfile("colour profile cannot be used: it is in another file")
    if int.from_bytes(space, "little") == _CALIBRATED:
        _check_primaries(content)
    return b""


def _check_primaries(content: bytes) -> None:
    """Raise UnusableProfile for primaries that are not sRGB's; most files leave theirs empty."""
    ends = struct.unpack_from("<9I", content, 74)
    for at, wanted in zip((0, 3, 6), (SRGB.red, SRGB.green, SRGB.blue), strict=True):
        x, y, z = ends[at : at + 3]
        total = x + y + z
        if total and max(abs(x / total - wanted[0]), abs(y / total - wanted[1])) > _NEAR:
            raise UnusableProfile("primaries of the BMP are not those of sRGB: colours unknown")


BMP = Parts(_stated, _lacking, _profile)
