"""The bytes of one member, read where they lie: no other member is touched, nothing is unpacked."""

import zlib
from typing import Any

from hambatch.sources.archives.member import Member, Method, Unreadable
from hambatch.sources.archives.tar_walk import BLOCK
from hambatch.sources.archives.windows import Window, pread
from hambatch.sources.archives.zip_walk import ENCRYPTED, LOCAL
from hambatch.sources.content import HEAD_BYTES

_AT_ONCE = 1 << 20

_BIG_32 = 0xFFFFFFFF

GUESSED = 256
"""Bytes of name and extra fields that are read along with a member of a zip."""

ENDS = "member is cut off: the archive ends in the middle of it"
TWO_READINGS = (
    "member has another size or CRC-32 in its own header than in the archive's directory: it can "
    "be read in two ways"
)
WRONG_CRC = "member is damaged: it has not the CRC-32 that the archive states"
OTHER = "member is not where the archive's directory says: the archive is damaged or has changed"


def read_tar_member(descriptor: int, member: Member) -> bytes:
    """Read a member of a tar that is not compressed; raises Unreadable if it is not there."""
    content = pread(descriptor, BLOCK + member.size, member.offset - BLOCK)
    return tar_content(content, member)


def tar_content(content: bytes, member: Member) -> bytes:
    """Check the header block before the bytes of a member, and give these."""
    if zlib.crc32(memoryview(content)[:BLOCK]) != member.head:
        raise Unreadable(OTHER)
    if len(content) < BLOCK + member.size:
        raise Unreadable(ENDS)
    return content[BLOCK:]


def read_zip_member(descriptor: int, member: Member) -> bytes:
    """Read and inflate a member of a zip, and compare its size and CRC-32.

    Never more than ``member.size`` bytes are inflated, so a bomb is known by its stated size.
    Raises Unreadable if it is not what the central directory says.
    """
    head = pread(descriptor, LOCAL.size + GUESSED + member.stored, member.offset)
    begin = _begin(head, member)
    stored = memoryview(head)[begin : begin + member.stored]
    if len(stored) < member.stored:
        # A name or fields that are longer than guessed, or the end of the file.
        stored = memoryview(pread(descriptor, member.stored, member.offset + begin))
    if len(stored) < member.stored:
        raise Unreadable(ENDS)
    content = bytes(stored) if member.method == Method.ZIP_STORED else _inflated(stored, member)
    if len(content) != member.size or zlib.crc32(content) != member.crc32:
        raise Unreadable(WRONG_CRC)
    return content


def data_place(window: Window, member: Member) -> int:
    """Find where in the window the stored bytes of a zip's member begin.

    Raises Unreadable if it is not there.
    """
    place = member.offset - window.start
    return place + _begin(window.read_at(place, LOCAL.size + (1 << 16)), member)


def head_of(window: Window, member: Member) -> bytes:
    """Read the first 512 bytes of a member of a zip; raises Unreadable."""
    place = member.offset - window.start
    begin = _begin(window.read_at(place, LOCAL.size + GUESSED), member)
    stored = window.read_at(place + begin, min(member.stored, 4 * HEAD_BYTES))
    if member.method == Method.ZIP_STORED:
        return stored[:HEAD_BYTES]
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, HEAD_BYTES)
    except zlib.error:
        return b""


def crc32_of(window: Window) -> int:
    """Compute the CRC-32 of all bytes of a window, a part at a time."""
    crc32 = 0
    for place in range(0, window.size, _AT_ONCE):
        crc32 = zlib.crc32(window.read_at(place, _AT_ONCE), crc32)
    return crc32


def _begin(head: bytes, member: Member) -> int:
    """Give how far behind its local header the bytes of a member begin; checks the header."""
    if len(head) < LOCAL.size:
        raise Unreadable(ENDS)
    fields: tuple[Any, ...] = LOCAL.unpack_from(head)
    signature, flags, method = fields[0], fields[2], fields[3]
    name, extra = int(fields[-2]), int(fields[-1])
    wanted = 8 if member.method == Method.ZIP_DEFLATED else 0
    if signature != b"PK\3\4" or method != wanted or flags & ENCRYPTED:
        raise Unreadable(OTHER)
    # Zeros stand there where the values follow the bytes, and all ones where they are too large.
    stated = zip(fields[6:9], (member.crc32, member.stored, member.size), strict=True)
    if any(value not in (0, _BIG_32) and value != (had or 0) & _BIG_32 for value, had in stated):
        raise Unreadable(TWO_READINGS)
    raw_name = memoryview(head)[LOCAL.size : LOCAL.size + name]
    if len(raw_name) == name and zlib.crc32(raw_name) != member.head:
        raise Unreadable(OTHER)
    return LOCAL.size + name + extra


def _inflated(stored: memoryview, member: Member) -> bytes:
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # One byte more than stated shows that there is more.
        content = inflating.decompress(stored, member.size + 1)
    except zlib.error as error:
        raise Unreadable(f"member is damaged: it cannot be inflated: {error}") from error
    if len(content) != member.size or not inflating.eof or inflating.unused_data:
        raise Unreadable(
            f"member is damaged: it does not inflate to the {member.size} bytes that the archive "
            "states"
        )
    return content
