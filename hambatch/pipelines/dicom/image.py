"""What a DICOM file holds: how its pixels are to be read, and the pixels as stored."""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from hambatch.pipelines.colour_profile import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    UnusableProfile,
    matrix_profile,
)
from hambatch.pipelines.dicom import elements
from hambatch.pipelines.dicom.elements import Elements, check_installed, read_elements, refusing
from hambatch.pipelines.pillow_lane import IN_VAIN, UndecodableImage
from hambatch.sources.reading import Limits

PALETTE = "PALETTE COLOR"

COLOURED = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", PALETTE})
"""The photometric interpretations that are read."""

_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
_KNOWN = frozenset({"HSV", "ARGB", "CMYK", "XYB", "YBR_PARTIAL_420", "YBR_PARTIAL_422"})

_MOST_FRAMES = 2**31


class Palette(NamedTuple):
    """A table of colours: its descriptor, three unsigned numbers, and its value as stored."""

    described: tuple[int, ...]
    stored: bytes
    segmented: bool


@dataclass(frozen=True)
class DicomImage:
    """The pixels of a DICOM file as stored, and what the header says of them.

    Attributes
    ----------
    syntax
        UID of the transfer syntax.
    photometric
        One of :data:`COLOURED`.
    allocated, stored
        Bits of a sample: those that it takes, 8 or 16, and the lowest of them, which count.
    pixels
        The value of Pixel Data: all frames; encapsulated unless the syntax is a native one.
    offsets, lengths
        The extended offset table, as stored; empty if there is none.
    palettes
        Of red, green and blue; none for other images than those in ``PALETTE COLOR``.
    profile
        The ICC profile; empty if there is none.
    """

    syntax: str
    little_endian: bool
    photometric: str
    samples: int
    planar: int
    rows: int
    columns: int
    allocated: int
    stored: int
    frames: int
    pixels: bytes
    pixel_vr: str
    offsets: bytes
    lengths: bytes
    palettes: tuple[Palette, ...]
    profile: bytes


def parsed(content: bytes, limits: Limits, frame: int = 0) -> DicomImage:
    """Read a DICOM file with an image in colours; raises UndecodableImage for any other.

    Raises UnusableProfile if what its colours mean is unknown. For the frames of one file, whose
    ``content`` is one object, it is read once.
    """
    if not frame:
        return _parsed(content, limits)
    found = _parsed_once(content, limits)
    if isinstance(found, DicomImage):
        return found
    raise type(found)(str(found))


@lru_cache(maxsize=1)
def _parsed_once(content: bytes, limits: Limits) -> DicomImage | UndecodableImage | UnusableProfile:
    try:
        return _parsed(content, limits)
    except IN_VAIN as error:
        return type(error)(str(error))


def _parsed(content: bytes, limits: Limits) -> DicomImage:
    check_installed()
    with refusing("damaged: the header of the DICOM cannot be read"):
        image = _image(read_elements(content, limits))
    size = image.columns, image.rows
    if reason := limits.too_many_pixels(*size) or limits.wrong_shape(*size):
        raise UndecodableImage(reason)
    return image


def _image(found: Elements) -> DicomImage:
    found.check_order()
    pixels, photometric = found.pixels(), _photometric(found)
    samples = found.number(elements.SAMPLES)
    if samples != (1 if photometric == PALETTE else 3):
        raise UndecodableImage(f"damaged: DICOM in {photometric} of {samples} samples a pixel")
    rows, columns = found.number(elements.ROWS), found.number(elements.COLUMNS)
    if not rows * columns:
        raise UndecodableImage(f"the header says {columns} x {rows} pixels")
    allocated, stored = _bits(found)
    return DicomImage(
        syntax=found.syntax,
        little_endian=found.little_endian,
        photometric=photometric,
        samples=samples,
        planar=found.number(elements.PLANAR, 0),
        rows=rows,
        columns=columns,
        allocated=allocated,
        stored=stored,
        frames=_frames(found),
        pixels=pixels,
        pixel_vr=found.pixel_vr(),
        offsets=found.value(elements.OFFSETS),
        lengths=found.value(elements.LENGTHS),
        palettes=_palettes(found) if samples == 1 else (),
        profile=_profile(found),
    )


def _photometric(found: Elements) -> str:
    said = found.text(elements.PHOTOMETRIC)
    if not said:
        raise UndecodableImage("damaged: DICOM without a photometric interpretation")
    if said in _GREY:
        raise UndecodableImage(f"DICOM is grey ({said}): not colour")
    if said not in COLOURED:
        named = said if said in _KNOWN else "an unknown photometric interpretation"
        raise UndecodableImage(f"DICOM in {named} is not supported")
    return said


def _bits(found: Elements) -> tuple[int, int]:
    allocated, stored = found.number(elements.ALLOCATED), found.number(elements.STORED)
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise UndecodableImage(f"DICOM of {stored} bits a sample, in {allocated}, is not supported")
    if found.number(elements.HIGH, stored - 1) != stored - 1:
        raise UndecodableImage("DICOM of samples that are not in the lowest bits is not supported")
    if found.number(elements.SIGNED, 0):
        raise UndecodableImage("DICOM of signed samples: which colours they are is unknown")
    return allocated, stored


def _frames(found: Elements) -> int:
    text = found.text(elements.FRAMES) or "1"
    if not (text.isascii() and text.isdigit() and 0 < int(text) < _MOST_FRAMES):
        raise UndecodableImage("damaged: the number of frames of the DICOM cannot be read")
    return int(text)


def _palettes(found: Elements) -> tuple[Palette, ...]:
    segmented = found.has(elements.SEGMENTED[0])
    tables = elements.SEGMENTED if segmented else elements.TABLES
    order = "<" if found.little_endian else ">"
    return tuple(
        Palette(struct.unpack(f"{order}3H", found.value(one)), found.value(table), segmented)
        for one, table in zip(elements.DESCRIPTORS, tables, strict=True)
    )


def _profile(found: Elements) -> bytes:
    profiles = found.profiles()
    if len(profiles) > 1:
        raise UnusableProfile("DICOM of several colour profiles: which one is meant is unknown")
    space = found.text(elements.SPACE)
    if profiles or space in ("", "SRGB"):
        return next(iter(profiles), b"")
    if space == "ADOBERGB":
        return matrix_profile(ADOBE_RGB, ADOBE_GAMMA)
    raise UnusableProfile("DICOM of another colour space than sRGB, without its profile")
