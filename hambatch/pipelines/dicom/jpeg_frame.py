"""The JPEG in a DICOM's frame, with what only the DICOM says of its colours written into it.

From then on it is a file like any other JPEG. What its samples are is said in three places, which
often differ: by the JPEG itself, in its JFIF or Adobe segment [1]_ [2]_ or the names of its
components, by the sizes of the components, and by the DICOM header. The JPEG counts first.

References
----------
.. [1] JFIF 1.02: the samples are YCbCr. libjpeg, ``jdapimin.c``: ``default_decompress_parms``.
.. [2] Adobe TN 5116, "Supporting the DCT Filters in PostScript Level 2": transform 0 is RGB.
"""

import io
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from hambatch.pipelines.colour_profile import ICC_MARK, UnusableProfile, profile_of
from hambatch.pipelines.dicom import colours
from hambatch.pipelines.dicom.colours import RGB, YBR
from hambatch.pipelines.dicom.elements import refusing
from hambatch.pipelines.dicom.frames import encoded_frame
from hambatch.pipelines.dicom.image import DicomImage
from hambatch.pipelines.header import read_header
from hambatch.pipelines.pillow_lane import UndecodableImage
from hambatch.pipelines.segments import START_OF_SCAN, jpeg_segments
from hambatch.pipelines.srgb import unless_srgb
from hambatch.sources.content import JPEG_START

_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""Adobe's segment with transform 0, as libjpeg writes it."""

_ICC_AT_MOST = 65_519
"""Bytes of a profile in one segment."""


class _Marks(NamedTuple):
    """What a JPEG says of its samples: ``adobe`` is the transform, or -1 without the segment."""

    jfif: bool
    adobe: int
    ids: bytes
    sampled_alike: bool


def jpeg_of(image: DicomImage, frame: int) -> bytes:
    """Give a frame as the bytes of a JPEG file; ``frame`` as in :class:`Fetched`.

    The very bytes of the frame, unless the DICOM alone says that they are RGB, or has another
    colour profile. Raises UndecodableImage if it is not whole, not the size that the header says,
    or in colours that are unknown.
    """
    jpeg = encoded_frame(image, frame)
    header = read_header(jpeg) if jpeg.startswith(JPEG_START) else None
    if header is None:
        raise UndecodableImage("damaged: the frame of the DICOM is no JPEG")
    if (header.width, header.height) != (image.columns, image.rows):
        raise UndecodableImage(
            f"damaged: the DICOM says {image.columns} x {image.rows} pixels, "
            f"its JPEG {header.width} x {header.height}"
        )
    if header.channels != image.samples:
        raise UndecodableImage(
            f"damaged: the DICOM says {image.samples} samples a pixel, its JPEG {header.channels}"
        )
    return _with_profile(_with_colours(jpeg, image), image.profile)


def _with_colours(jpeg: bytes, image: DicomImage) -> bytes:
    """Say in the JPEG that it is RGB where the DICOM says so and the JPEG says nothing."""
    marks = _marks(jpeg)
    said = RGB if image.photometric == RGB else YBR
    meant, by_decoder = _meant(marks) or said, _taken_for(marks)
    if meant != said or not _meant(marks):
        with refusing("damaged: the samples of the JPEG cannot be read"):
            colours.check(_samples(jpeg, by_decoder), meant)
    return jpeg[:2] + _ADOBE_RGB + jpeg[2:] if meant != by_decoder else jpeg


def _marks(jpeg: bytes) -> _Marks:
    jfif, adobe, ids, alike = False, -1, b"", True
    for marker, start, end in jpeg_segments(jpeg):
        if marker == START_OF_SCAN:
            break
        data = jpeg[start + 4 : end]
        if marker == 0xE0 and data.startswith(b"JFIF\0"):
            jfif = True
        elif marker == 0xEE and data.startswith(b"Adobe") and len(data) >= 12:
            adobe = data[11]
        elif marker in (0xC0, 0xC1, 0xC2):
            ids, alike = data[6::3], len(set(data[7::3])) == 1
    return _Marks(jfif, adobe, ids, alike)


def _meant(marks: _Marks) -> str:
    """Give what the JPEG says that its samples are; empty if it says nothing."""
    if marks.jfif:
        return YBR
    if marks.adobe >= 0:
        return YBR if marks.adobe else RGB
    if marks.ids in (b"RGB", b"rgb"):
        return RGB
    # Nobody leaves out red and blue.
    return "" if marks.sampled_alike else YBR


def _taken_for(marks: _Marks) -> str:
    """Give what libjpeg takes the samples for."""
    return RGB if _meant(marks) == RGB and marks.ids != b"rgb" else YBR


def _samples(jpeg: bytes, by_decoder: str) -> Image.Image:
    """Decode a small picture of the samples as they are."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
        picture.draft(by_decoder, (64, 64))
        picture.load()
        return picture


def _with_profile(jpeg: bytes, profile: bytes) -> bytes:
    """Put the DICOM's colour profile in the place of the JPEG's, if they do not do the same."""
    try:
        if not profile or unless_srgb(profile) == unless_srgb(profile_of(jpeg)):
            return jpeg
    except UnusableProfile:
        # Of the JPEG: it does not count. Of the DICOM: the slow lane says what is wrong with it.
        pass
    return jpeg[:2] + b"".join(_segments(profile)) + _without_profile(jpeg)


def _segments(profile: bytes) -> Iterator[bytes]:
    parts = [profile[k : k + _ICC_AT_MOST] for k in range(0, len(profile), _ICC_AT_MOST)]
    if len(parts) > 255:
        raise UndecodableImage("colour profile cannot be used: it is too large")
    for number, part in enumerate(parts, 1):
        length = (len(part) + 16).to_bytes(2)
        yield b"\xff\xe2" + length + ICC_MARK + bytes([number, len(parts)]) + part


def _without_profile(jpeg: bytes) -> bytes:
    """Give what follows the start marker, without an ICC profile."""
    kept, last = [], 2
    for marker, start, end in jpeg_segments(jpeg):
        if marker == START_OF_SCAN:
            break
        if marker == 0xE2 and jpeg.startswith(ICC_MARK, start + 4):
            kept.append(jpeg[last:start])
            last = end
    return b"".join([*kept, jpeg[last:]])
