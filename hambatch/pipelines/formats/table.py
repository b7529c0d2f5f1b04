"""The formats that are decoded besides JPEG, PNG and DICOM, by what a file's content is called."""

import struct
from dataclasses import dataclass

from hambatch.pipelines.colour_profile import UnusableProfile
from hambatch.pipelines.formats.bmp import BMP
from hambatch.pipelines.formats.gif import GIF
from hambatch.pipelines.formats.heif import HEIF
from hambatch.pipelines.formats.jpeg2000_packets import JPEG_2000
from hambatch.pipelines.formats.stated import Parts, Stated, Unreadable
from hambatch.pipelines.formats.tiff_pixels import TIFF
from hambatch.pipelines.formats.webp import WEBP
from hambatch.sources.content import kind_of
from hambatch.sources.reading import Limits

_NOT_WHOLE = (IndexError, struct.error, ArithmeticError)
"""What escapes a parser where bytes are absent, or sizes are 0 or larger than any file."""


@dataclass(frozen=True)
class Format:
    """What people call it, and how its parts are found.

    Whatever a file holds, ``stated`` raises Unreadable alone, and ``profile`` UnusableProfile.
    """

    name: str
    parts: Parts

    def stated(self, content: bytes) -> Stated:
        """Read the header."""
        try:
            return self.parts.stated(content)
        except _NOT_WHOLE as error:
            raise Unreadable(self._not_whole) from error

    def lacking(self, content: bytes) -> str:
        """Say which part is absent of a file that is not refused; empty if none."""
        try:
            return self.parts.lacking(content)
        except Unreadable as error:
            return str(error)
        except _NOT_WHOLE:
            return self._not_whole

    def profile(self, content: bytes) -> bytes:
        """Give the ICC profile; empty where the file says sRGB or nothing."""
        try:
            return self.parts.profile(content)
        except (Unreadable, *_NOT_WHOLE) as error:
            raise UnusableProfile("colour profile is not whole; its colours are unknown") from error

    @property
    def _not_whole(self) -> str:
        return f"incomplete: the header of the {self.name} is not whole"

    def pixels(self, content: bytes) -> int:
        """Give width times height as the header says, 0 if it does not."""
        try:
            return self.stated(content).pixels
        except Unreadable:
            return 0

    def refusal(self, content: bytes, limits: Limits) -> str:
        """Give the reason not to decode the file at all, or an empty string."""
        try:
            found = self.stated(content)
        except Unreadable as error:
            return str(error)
        size = found.width, found.height
        if not found.pixels:
            return f"the header says {found.width} x {found.height} pixels"
        return found.problem or limits.too_many_pixels(*size) or limits.wrong_shape(*size)


FORMATS = {
    "bmp": Format("BMP", BMP),
    "gif": Format("GIF", GIF),
    "tiff": Format("TIFF", TIFF),
    "webp": Format("WebP", WEBP),
    "jpeg2000": Format("JPEG 2000", JPEG_2000),
    "heic": Format("HEIC", HEIF),
    "heif": Format("HEIF", HEIF),
    "avif": Format("AVIF", HEIF),
}


def format_of(content: bytes) -> Format | None:
    """Give the format of a whole file, None for one that is JPEG, PNG or not decoded."""
    return FORMATS.get(kind_of(content))
