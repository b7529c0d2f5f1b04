"""Damage that knows little of JPEG: what disks, networks and broken copies do to a file.

Every function takes its chance from ``rng`` alone, a whole JPEG, and a second one.
"""

import numpy as np

from tests.faults.jpeg_parts import EOI, scan_start

Rng = np.random.Generator


def entropy_bits(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Flip up to 16 bits of the entropy-coded data."""
    return _flipped(rng, content, scan_start(content), len(content) - len(EOI))


def any_bits(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Flip up to 16 bits wherever they fall."""
    return _flipped(rng, content, 0, len(content))


def header_bits(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Flip up to 16 bits between SOI and the scan."""
    return _flipped(rng, content, 3, scan_start(content))


def cut(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Keep the beginning only."""
    return content[: int(rng.integers(1, len(content)))]


def cut_with_end(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Keep the beginning, put the end marker behind it."""
    return content[: int(rng.integers(4, len(content) - len(EOI)))] + EOI


def splice(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Continue with the rest of another file, cut anywhere."""
    head = content[: int(rng.integers(4, len(content)))]
    return head + other[int(rng.integers(2, len(other) - 2)) :]


def splice_scan(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Keep the headers and the scan's beginning, continue inside another file's scan."""
    head = content[: int(rng.integers(scan_start(content), len(content) - 2))]
    return head + other[int(rng.integers(scan_start(other), len(other) - 2)) :]


def two_in_one(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Put two whole files into one."""
    return content + other


def insert_run(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Insert up to 64 random bytes."""
    at = int(rng.integers(2, len(content) - 2))
    return content[:at] + rng.bytes(int(rng.integers(1, 65))) + content[at:]


def delete_run(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Leave out up to 64 bytes."""
    at = int(rng.integers(2, len(content) - 3))
    return content[:at] + content[min(at + int(rng.integers(1, 65)), len(content) - 2) :]


def lost_sector(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Fill 512 bytes with zeros, or with ones: what a bad sector reads as."""
    at = int(rng.integers(len(content) // 512 + 1)) * 512
    size = min(512, len(content) - at)
    return content[:at] + bytes([rng.choice([0x00, 0xFF])]) * size + content[at + size :]


def trailing_bytes(rng: Rng, content: bytes, other: bytes) -> bytes:
    """Add bytes behind the end: legal, but suspect."""
    return content + rng.bytes(int(rng.integers(1, 65)))


def _flipped(rng: Rng, content: bytes, low: int, high: int) -> bytes:
    damaged = bytearray(content)
    for at in rng.integers(low, high, int(rng.integers(1, 17))):
        damaged[at] ^= 1 << int(rng.integers(8))
    return bytes(damaged)
