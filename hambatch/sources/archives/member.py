"""A member of an archive: where its bytes lie, and what has to be found there."""

from dataclasses import dataclass
from enum import IntEnum


class Method(IntEnum):
    """How a member is stored, and what stands before its bytes."""

    ZIP_STORED = 0
    ZIP_DEFLATED = 8
    TAR = 1
    STREAMED_TAR = 2
    """In a compressed tar: offsets are those of the uncompressed bytes."""


@dataclass(frozen=True, slots=True)
class Member:
    """Where one file of an archive lies.

    Attributes
    ----------
    method
        How it is stored.
    offset
        Of a zip's local header, or of the data in a tar, in bytes from the file's beginning.
    stored, size
        Bytes that it takes in the archive, and bytes of the file.
    head
        CRC-32 of what stands before the bytes, so that another file at that place is noticed: of a
        tar's header block, or of the raw name in a zip's local header.
    crc32
        Of the file's bytes; None in a tar, which has none.
    """

    method: Method
    offset: int
    stored: int
    size: int
    head: int
    crc32: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One file that a walk over an archive found.

    ``name`` is as the archive has it, with surrogate escapes for bytes that are not UTF-8; empty
    for the archive itself, where it is damaged. Either ``member`` says where its bytes lie, or
    ``problem``, in a line, why it cannot be scored.
    """

    name: str
    member: Member | None = None
    problem: str = ""


class Damaged(Exception):
    """An archive that cannot be walked to its end; the message is the reason of its row."""


def damaged(what: str) -> Damaged:
    """Make the error of an archive that ends too early, or that cannot be understood."""
    return Damaged(f"archive is damaged: {what}")


class Unreadable(Exception):
    """A member that cannot be read; the message is the reason of its row."""
