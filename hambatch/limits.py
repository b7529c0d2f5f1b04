"""What a single file may cost; one that would cost more is a failed row."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits and leniency of decoding.

    Attributes
    ----------
    max_bytes
        A larger file is not read.
    max_pixels
        Width times height as the header says, before anything is decoded.
    salvage_truncated
        Decode what there is of a file that was cut off; its row says so.
    """

    max_bytes: int
    max_pixels: int
    salvage_truncated: bool = False

    def too_many_bytes(self, found: int) -> str:
        """Give the reason to refuse a file of ``found`` bytes, or an empty string."""
        if found <= self.max_bytes:
            return ""
        return (
            f"too large: {found / 1e6:.1f} MB, "
            f"the limit is {self.max_bytes / 1e6:g} (--max-megabytes)"
        )

    def too_many_pixels(self, width: int, height: int) -> str:
        """Give the reason to refuse a picture of that size, or an empty string."""
        if width * height <= self.max_pixels:
            return ""
        return (
            f"too large: {width} x {height} is {width * height / 1e6:.1f} megapixels, "
            f"the limit is {self.max_pixels / 1e6:g} (--max-megapixels)"
        )


UNLIMITED = Limits(max_bytes=sys.maxsize, max_pixels=sys.maxsize)
