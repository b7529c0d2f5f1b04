"""What a single file may cost; one that would cost more is a failed row."""

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
