"""Where the segments of a JPEG and the chunks of a PNG stand; nothing is decoded here."""

import re
from collections.abc import Iterator

from hambatch.sources.content import PNG_START

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9

# Neither stuffed zeros and restart markers, which belong to a scan's data, nor fill bytes.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")


def jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Give each segment's marker, where that stands, and where the segment ends.

    They are found the way libjpeg finds them: garbage between them, and the data of a scan behind
    its header, are passed over. The file may end within a segment, and go on behind its end marker.
    """
    end = 2
    while found := _MARKER.search(content, end):
        marker, start = found[1][0], found.start()
        end = start + 2
        if marker != END_OF_IMAGE:
            end += int.from_bytes(content[start + 2 : start + 4])
        yield marker, start, end


def png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give each chunk's kind, and where its data begin and end, up to the chunk IEND."""
    place = len(PNG_START)
    while place + 8 <= len(content):
        kind, length = content[place + 4 : place + 8], int.from_bytes(content[place : place + 4])
        if kind == b"IEND":
            return
        yield kind, place + 8, min(place + 8 + length, len(content))
        place += 12 + length
