"""How EXIF says that a picture is turned."""

import struct
from collections.abc import Mapping

_ORIENTATION, _TIFF = 0x0112, 42
_TEXT = "Raw profile type exif"


def exif_of(info: Mapping[str | tuple[int, int], object]) -> bytes:
    """Give the EXIF among what Pillow says of a file, a PNG's text chunk included.

    Raises ValueError if the text is not what ImageMagick writes: three lines, then hex.
    """
    found = info.get("exif") or b""
    text = info.get(_TEXT)
    if not found and isinstance(text, str):
        found = bytes.fromhex("".join(text.split("\n")[3:]))
    return found if isinstance(found, bytes) else b""


def orientation_of(exif: bytes) -> int:
    """Give the orientation, 1 (upright) where there is none or EXIF is broken before it."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        mark, start = struct.unpack_from(f"{order}HI", tiff, 2)
        if mark != _TIFF:
            return 1
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 1
