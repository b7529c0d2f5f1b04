"""What a JPEG or PNG says its colours mean, as an ICC profile; nothing is decoded here.

A profile embedded in the file counts first. A PNG may name its colours by numbers instead (chunks
cICP, sRGB, gAMA, cHRM [1]_), and a camera writes Adobe RGB into EXIF without a profile [2]_.

References
----------
.. [1] Portable Network Graphics, third edition, 4.3: which chunk overrides which.
.. [2] CIPA DC-010 (DCF 2.0), 5.4: the interoperability index R03.
"""

import struct
import zlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from hambatch.pipelines.segments import START_OF_SCAN, jpeg_segments, png_chunks
from hambatch.sources.content import PNG_START

MOST_BYTES = 4_000_000
"""A larger profile is refused: those of printers, the largest in use, have 3 MB at most."""

ICC_MARK = b"ICC_PROFILE\0"

ADOBE_MARKS = (
    b"R03\0",
    b"\x01\xa0\x03\0\x01\0\0\0\x02\0",
    b"\xa0\x01\0\x03\0\0\0\x01\0\x02",
)
"""One of them stands in EXIF that says Adobe RGB: the index, or ColorSpace 2 in either order."""

COLOUR_CHUNKS = frozenset({b"cICP", b"iCCP", b"gAMA", b"cHRM"})
"""Chunks of a PNG that may say that it is not sRGB."""

Point = tuple[float, float]


class Primaries(NamedTuple):
    """Chromaticities x, y."""

    white: Point
    red: Point
    green: Point
    blue: Point


_D65 = (0.3127, 0.3290)
SRGB = Primaries(_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = Primaries(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB = Primaries(_D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
BT_2020 = Primaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046))

_BT_601_625 = Primaries(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06))
_BT_601_525 = Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))

ADOBE_GAMMA = 563 / 256

_CODED_PRIMARIES = {1: SRGB, 9: BT_2020, 12: DISPLAY_P3}
_CODED_GAMMA = {4: 2.2, 8: 1.0, 13: 0.0}
"""Of ITU-T H.273; 0 stands for the curve of sRGB."""

_UNSPECIFIED = 2


class UnusableProfile(Exception):
    """What the colours mean is unknown: the message is the row's reason."""


def profile_of(content: bytes) -> bytes:
    """Give the ICC profile that a JPEG or PNG holds or stands for.

    Empty where it says sRGB or nothing. Raises UnusableProfile if there is one that is not whole,
    or that no profile can express.
    """
    if content.startswith(PNG_START):
        return _of_png(content)
    return _of_jpeg(content)


def _of_jpeg(content: bytes) -> bytes:
    parts, exif = [], b""
    for marker, start, end in jpeg_segments(content):
        if marker == START_OF_SCAN:
            break
        if marker == 0xE2 and content.startswith(ICC_MARK, start + 4):
            parts.append(content[start + 4 + len(ICC_MARK) : end])
        elif marker == 0xE1 and content.startswith(b"Exif\0", start + 4):
            exif = exif or content[start + 4 : end]
    return _joined(parts) if parts else of_exif(exif)


def _joined(parts: list[bytes]) -> bytes:
    """Join the parts of a profile: each begins with its number, from 1, and how many there are.

    Some programs count from 0, or embed the same profile once more: what is meant is clear.
    """
    parts = list(dict.fromkeys(parts))
    count = parts[0][1] if len(parts[0]) > 1 else 0
    by_number = {part[0]: part[2:] for part in parts if len(part) > 1 and part[1] == count}
    first = min(by_number, default=1)
    numbers = list(range(first, first + count))
    if not count or first > 1 or sorted(by_number) != numbers or len(parts) != count:
        raise UnusableProfile(
            f"colour profile is not whole: {len(parts)} of {count} parts; its colours are unknown"
        )
    return b"".join(by_number[number] for number in sorted(by_number))


def _of_png(content: bytes) -> bytes:
    found: dict[bytes, bytes] = {}
    for kind, start, end in png_chunks(content):
        if kind == b"IDAT":  # all of them have to stand before the pixels
            break
        found.setdefault(kind, content[start:end])
    if b"cICP" in found:
        return _coded(found[b"cICP"])
    if b"iCCP" in found:
        return _inflated(found[b"iCCP"])
    if b"sRGB" in found:
        return b""
    if b"gAMA" in found or b"cHRM" in found:
        return _measured(found.get(b"gAMA", b""), found.get(b"cHRM", b""))
    return of_exif(found.get(b"eXIf", b""))


def _coded(numbers: bytes) -> bytes:
    primaries, transfer, *rest = numbers if len(numbers) == 4 else (0, 0)
    if primaries in _CODED_PRIMARIES and transfer in _CODED_GAMMA and rest == [0, 1]:
        return matrix_profile(_CODED_PRIMARIES[primaries], _CODED_GAMMA[transfer])
    raise UnusableProfile(f"colours of the code {'-'.join(map(str, numbers))} are not supported")


def coded(primaries: int, transfer: int) -> bytes:
    """Give the profile that two numbers of ITU-T H.273 stand for, as HEIC and AVIF have them.

    Where they say nothing, and for the curve of television, viewers take sRGB's. Raises
    UnusableProfile.
    """
    known = _CODED_PRIMARIES | {_UNSPECIFIED: SRGB, 5: _BT_601_625, 6: _BT_601_525}
    curves = _CODED_GAMMA | dict.fromkeys((1, _UNSPECIFIED, 6, 14, 15), 0.0)
    if primaries in known and transfer in curves:
        if known[primaries] == SRGB and not curves[transfer]:
            return b""
        return matrix_profile(known[primaries], curves[transfer])
    raise UnusableProfile(f"colours of the code {primaries}-{transfer} are not supported")


def _inflated(chunk: bytes) -> bytes:
    _, _, packed = chunk.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(packed[1:], MOST_BYTES + 1)
    except zlib.error as error:
        raise UnusableProfile(f"colour profile is damaged: {error}") from error
    # One byte beyond the limit is told apart where the profile is judged.
    if not inflate.eof and len(profile) <= MOST_BYTES:
        raise UnusableProfile("colour profile is not whole; its colours are unknown")
    return profile


def _measured(gamma: bytes, primaries: bytes) -> bytes:
    """Make a profile of the chunks gAMA and cHRM, in hundred-thousandths; either may be missing."""
    try:
        power = struct.unpack(">I", gamma)[0] / 100_000 if gamma else 0.45455
        points = [one / 100_000 for one in struct.unpack(">8I", primaries)] if primaries else []
        named = Primaries(*zip(points[::2], points[1::2], strict=True)) if points else SRGB
        # Writers of sRGB put 1 / 2.2 there, which its curve is near to.
        is_srgb = np.allclose(named, SRGB, atol=0.002) and abs(power - 0.45455) < 0.001
        return matrix_profile(named, 0.0 if is_srgb else 1 / power)
    except (struct.error, ArithmeticError, np.linalg.LinAlgError) as error:
        raise UnusableProfile("gamma or primaries of the PNG cannot be: colours unknown") from error


def of_exif(exif: bytes) -> bytes:
    """Give Adobe RGB's profile where EXIF, or a whole TIFF, names that colour space."""
    if not any(mark in exif for mark in ADOBE_MARKS):
        return b""
    from PIL import Image

    tags = Image.Exif()
    try:
        tags.load(exif)
        space = tags.get_ifd(0x8769).get(0xA001)
        index = tags.get_ifd(0xA005).get(1)
    except (OSError, ValueError, SyntaxError, struct.error, TypeError, LookupError):
        # EXIF that cannot be read says nothing, as for the orientation.
        return b""
    is_adobe = space == 2 or (space == 65_535 and str(index).startswith("R03"))
    return matrix_profile(ADOBE_RGB, ADOBE_GAMMA) if is_adobe else b""


_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@lru_cache(maxsize=64)
def matrix_profile(primaries: Primaries, gamma: float) -> bytes:
    """Write an ICC profile (version 4) of three primaries and one curve; gamma 0 is sRGB's.

    Raises ArithmeticError or LinAlgError if the primaries span no colours.
    """
    xyz = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries])
    white, colorants = xyz[0], xyz[1:].T
    colorants = colorants * np.linalg.solve(colorants, white)
    cones = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    adapted = np.linalg.solve(_BRADFORD, cones @ _BRADFORD) @ colorants
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 100:
        raise ArithmeticError("primaries span no colours")
    numbers = [gamma] if gamma else [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]
    curve = b"para" + struct.pack(">4xHxx", 0 if gamma else 3) + _fixed(*numbers)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50)}
    for name, column in zip((b"r", b"g", b"b"), adapted.T, strict=True):
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*column)
        tags[name + b"TRC"] = curve
    return _profile(tags)


def _profile(tags: dict[bytes, bytes]) -> bytes:
    table, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value
    head = struct.pack(">I4xI4s4s4s", start + len(data), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _fixed(*_D50)
    return head.ljust(128, b"\0") + table + data


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65_536)) for number in numbers)
