"""Edits of a JPEG's header that leave a file which looks whole: the decoder has to find out.

Every function takes its chance from ``rng`` alone, a whole JPEG, and a second one.
"""

import numpy as np

from tests.faults.jpeg_parts import APP1, DHT, DQT, DRI, SOF, SOI, Segment, header_segments, only

Rng = np.random.Generator

TIFF_HEADER = b"Exif\0\0II*\0\x08\0\0\0"


def dimensions(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Claim another height or width: none, a few pixels, a little off, or any 16-bit number."""
    at = _one(rng, content, SOF).payload + 1 + 2 * int(rng.integers(2))
    true = int.from_bytes(content[at : at + 2])
    choices = (0, rng.integers(1, 17), true + rng.integers(-16, 17), 2 * true, rng.integers(65536))
    claimed = int(choices[rng.integers(len(choices))]) % 65536
    return _written(content, at, claimed.to_bytes(2))


def bomb(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Claim some 10^8 to 4 * 10^9 pixels: 0.4 to 13 GB once decoded."""
    at = _one(rng, content, SOF).payload + 1
    height, width = (int(side) for side in rng.integers(12000, 65536, 2))
    return _written(content, at, height.to_bytes(2) + width.to_bytes(2))


def components(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Write over the frame's precision, its number of components or one of their fields."""
    frame = _one(rng, content, SOF)
    fields = (frame.payload, *range(frame.payload + 5, frame.end))
    value = rng.integers(256) if rng.random() < 0.3 else rng.integers(6)
    return _written(content, int(rng.choice(fields)), bytes([int(value)]))


def quantisation(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Write over up to 8 bytes of a quantisation table."""
    return _scribbled(rng, content, _one(rng, content, {DQT}))


def huffman(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Write over up to 8 bytes of a Huffman table."""
    return _scribbled(rng, content, _one(rng, content, {DHT}))


def marker_length(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Claim another length for a segment: off by a little, or any 16-bit number."""
    part = _any(rng, content)
    true = part.end - part.start - 2
    claimed = true + rng.integers(-8, 9) if rng.random() < 0.5 else rng.integers(65536)
    return _written(content, part.start + 2, (int(claimed) % 65536).to_bytes(2))


def restart_interval(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Announce restart markers that are not there, or not where announced."""
    interval = int(rng.integers(65536) if rng.random() < 0.3 else rng.integers(1, 100))
    at = header_segments(content)[-1].start
    return content[:at] + bytes([0xFF, DRI]) + b"\0\4" + interval.to_bytes(2) + content[at:]


def exif_orientation(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Claim an orientation: right, of no meaning, or in a directory of nonsense."""
    value = int(rng.integers(1, 9) if rng.random() < 0.7 else rng.integers(65536))
    entry = _orientation(value) if rng.random() < 0.7 else rng.bytes(12)
    return SOI + _exif(entry) + content[len(SOI) :]


def two_exif_blocks(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Claim two orientations, each in a block of its own."""
    blocks = [_exif(_orientation(int(value))) for value in rng.integers(1, 9, 2)]
    return SOI + b"".join(blocks) + content[len(SOI) :]


def duplicated_segment(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Write a segment twice, the second time where another one begins."""
    part, place = _any(rng, content), _any(rng, content)
    copy = content[part.start : part.end]
    return content[: place.start] + copy + content[place.start :]


def dropped_segment(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Leave out a segment: a table, the frame, or something that no decoder needs."""
    part = _any(rng, content)
    return content[: part.start] + content[part.end :]


def foreign_segment(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Put another file's segment in a segment's place."""
    part, theirs = _any(rng, content), _any(rng, other)
    return content[: part.start] + other[theirs.start : theirs.end] + content[part.end :]


def _orientation(value: int) -> bytes:
    """Entry 0x0112 of a TIFF directory, little-endian: one 16-bit number."""
    return b"\x12\x01\x03\0\1\0\0\0" + value.to_bytes(2, "little") + b"\0\0"


def _exif(entry: bytes) -> bytes:
    body = TIFF_HEADER + b"\1\0" + entry + bytes(4)
    return bytes([0xFF, APP1]) + (len(body) + 2).to_bytes(2) + body


def _one(rng: Rng, content: bytes, markers: frozenset[int] | set[int]) -> Segment:
    found = only(content, markers)
    return found[int(rng.integers(len(found)))]


def _any(rng: Rng, content: bytes) -> Segment:
    found = header_segments(content)
    return found[int(rng.integers(len(found)))]


def _written(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def _scribbled(rng: Rng, content: bytes, part: Segment) -> bytes:
    damaged = bytearray(content)
    for at in rng.integers(part.payload, part.end, int(rng.integers(1, 9))):
        damaged[at] = int(rng.integers(256))
    return bytes(damaged)
