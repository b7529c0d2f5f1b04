"""A group of large pictures in portions, so that few of them lie decoded at full size."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hambatch.pipelines.header import read_header
from hambatch.pipelines.suspicion import FAST_PIXELS
from hambatch.sources.reading import Fetched


class Portion(NamedTuple):
    """Files that are decoded together, and how many pixels they have by their headers."""

    files: Sequence[Fetched]
    pixels: int


def portions(files: Sequence[Fetched], most_pixels: int) -> Iterator[Portion]:
    """Cut files into portions of at most so many pixels, of at least one file each."""
    start, pixels = 0, 0
    for place, file in enumerate(files):
        header = read_header(file.content)
        own = header.pixels if header else 0
        if place > start and pixels + own > most_pixels:
            yield Portion(files[start:place], pixels)
            start, pixels = place, 0
        pixels += own
    if files:
        yield Portion(files[start:], pixels)


def portion_pixels(threads: int) -> int:
    """Give the most pixels of a portion: two of the largest pictures for each decoding thread.

    With two threads 64 megapixels, 192 MB as RGB; 64 of HAM10000's pictures have 17.
    """
    return 2 * max(threads, 2) * FAST_PIXELS
