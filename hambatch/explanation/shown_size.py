"""Width and height of a picture as a viewer shows it, from its header: nothing is decoded."""

from hambatch.pipelines.exif import orientation_of
from hambatch.pipelines.header import PNG_START, read_header

_JPEG_EXIF, _PNG_EXIF = b"Exif\0\0", b"eXIf"

_MOST_EXIF = 65_536
"""Bytes: a JPEG's segment holds no more."""

LYING = (5, 6, 7, 8)
"""Orientations in which width and height change places."""


def shown_size(content: bytes, *, exif_orientation: bool) -> tuple[int, int] | None:
    """Give width and height in pixels; None where the header does not say for certain.

    Parameters
    ----------
    exif_orientation
        Whether the engine's preprocessing turns pictures upright.
    """
    header = read_header(content)
    if header is None or header.odd_exif or not header.pixels:
        return None
    size = header.width, header.height
    if exif_orientation and header.exifs and orientation_of(_exif(content)) in LYING:
        return size[::-1]
    return size


def _exif(content: bytes) -> bytes:
    mark = _PNG_EXIF if content.startswith(PNG_START) else _JPEG_EXIF
    start = content.find(mark) + len(mark)
    return content[start : start + _MOST_EXIF] if start >= len(mark) else b""
