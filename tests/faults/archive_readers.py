"""What Python's own readers find in a damaged archive: they share nothing with hambatch."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from backports import zstd

from tests.faults.archive_writing import ENTRY, LOCAL, stream_of

MOST = 1 << 24
"""Bytes that are read of a member, or inflated."""

A_PART = 1 << 12
"""Bytes that are inflated at a time."""

ERRORS = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    zstd.ZstdError,
    OverflowError,
)


@dataclass
class Readable:
    """Members that a reader finds, by the names of their rows; names may repeat.

    ``unproved`` are those of tars: nothing says that their bytes are the right ones.
    """

    members: list[tuple[str, bytes]] = field(default_factory=list)
    unproved: list[tuple[str, bytes]] = field(default_factory=list)


def readable(content: bytes) -> Readable:
    """Read an archive of any kind, and the archives in it."""
    found = Readable()
    _read(found, inflated(content), "")
    return found


def _read(found: Readable, content: bytes, before: str) -> None:
    is_tar = tarfile_reads(content)
    if not is_tar and not before:
        _note_unproved(found, content)
    for name, member in _tar_members(found, content) if is_tar else _zip_members(content):
        if not before and name in ("in.zip", "in.tar"):
            _read(found, member, f"{name}!/")
        else:
            found.members.append((before + name, member))
            if is_tar or before:
                found.unproved.append((before + name, member))


def tarfile_reads(content: bytes) -> bool:
    """Tell whether it begins like a tar."""
    try:
        tarfile.TarInfo.frombuf(content[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def inflated(content: bytes) -> bytes:
    """Inflate as far as the bytes go; other bytes are given back."""
    if content.startswith(b"\x1f\x8b"):
        return _gzip(content)
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd(content)
    return content


def _gzip(content: bytes) -> bytes:
    parts, stream = [], zlib.decompressobj(31)
    for k in range(0, len(content), A_PART):
        before = stream.copy()
        try:
            parts.append(stream.decompress(content[k : k + A_PART]))
        except zlib.error:
            # Byte for byte: all that comes before an error.
            with suppress(zlib.error):
                for at in range(k, k + A_PART):
                    parts.append(before.decompress(content[at : at + 1]))
            break
    return b"".join(parts)


def _zstd(content: bytes) -> bytes:
    out = b""
    while content:
        stream = zstd.ZstdDecompressor()
        try:
            out += stream.decompress(content)
        except zstd.ZstdError:
            return out
        content = stream.unused_data
        if not stream.eof:
            return out
    return out


def _zip_members(content: bytes) -> Iterator[tuple[str, bytes]]:
    if not content.startswith(b"PK") and content[-22:-18] != b"PK\5\6":
        # Neither its beginning nor its end: it may be any archive in this one.
        return
    try:
        with zipfile.ZipFile(stream_of(content)) as archive:
            if content[content.rfind(b"PK\5\6") + 4 :][:2] != b"\0\0":
                return
            infos = [info for info in archive.infolist() if not info.is_dir()]
            if _is_short(content, infos):
                infos.pop()
            for info in infos:
                if (
                    _is_plain(info)
                    and info.file_size < MOST
                    and _has_one_reading(content, info, infos)
                ):
                    with suppress(*ERRORS):
                        member = archive.read(info)
                        # It inflates to the end, whatever the size is said to be.
                        if len(member) == info.file_size:
                            yield info.orig_filename, member
    except ERRORS:
        return


def _is_plain(info: zipfile.ZipInfo) -> bool:
    kind = info.external_attr >> 28
    return not info.volume and (kind in (0, 8) or info.create_system != 3)


def _is_short(content: bytes, infos: list[zipfile.ZipInfo]) -> bool:
    """Tell whether the last entry claims to be longer than the directory: zipfile cuts it."""
    end = content.rfind(b"PK\5\6")
    place = end - int.from_bytes(content[end + 12 : end + 16], "little")
    for _ in infos:
        head = content[place : place + ENTRY.size]
        if len(head) == ENTRY.size:
            place += ENTRY.size + sum(ENTRY.unpack(head)[10:13])
    return place > end


def _has_one_reading(content: bytes, info: zipfile.ZipInfo, infos: list[zipfile.ZipInfo]) -> bool:
    """Tell whether its own header agrees, and no other member lies in its bytes."""
    end = info.header_offset + LOCAL.size + info.compress_size
    if end > content.rfind(b"PK\5\6"):
        return False
    for other in infos:
        for start in _places(content, other):
            its_end = start + LOCAL.size + other.compress_size
            if other is not info and start < end and its_end > info.header_offset:
                return False
    head = content[info.header_offset :][: LOCAL.size]
    if len(head) < LOCAL.size:
        return False
    _, _, flags, method, _, _, *said, _, _ = LOCAL.unpack(head)
    if method != info.compress_type or flags & 1:
        return False
    agreed = info.CRC, info.compress_size, info.file_size
    return all(value in (0, wanted) for value, wanted in zip(said, agreed, strict=True))


def _places(content: bytes, info: zipfile.ZipInfo) -> list[int]:
    """All places where its local header stands: bytes may have been put in, or taken out."""
    places, place = [info.header_offset], content.find(b"PK\3\4")
    while place >= 0:
        if content[place + LOCAL.size :].startswith(info.orig_filename.encode("utf-8", "replace")):
            places.append(place)
        place = content.find(b"PK\3\4", place + 1)
    return places


def _note_unproved(found: Readable, content: bytes) -> None:
    """Look into a tar in a zip, wherever it stands and whatever its CRC-32 is."""
    place = content.find(b"in.tar")
    while place >= 0:
        if content[place - LOCAL.size :].startswith(b"PK\3\4"):
            _note_inner(found, content[place + len(b"in.tar") :])
        place = content.find(b"in.tar", place + 1)


def _note_inner(found: Readable, content: bytes) -> None:
    found.unproved += [(f"in.tar!/{name}", m) for name, m in _tar_members(Readable(), content)]


def _tar_members(found: Readable, content: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=stream_of(content), mode="r:") as archive:
            for info in archive:
                # Without the path, or after records that are not read, its name is a guess.
                is_guess = content[info.offset + 156] in b"xg" and "path" not in info.pax_headers
                if info.isreg() and not info.issparse() and info.size < MOST and not is_guess:
                    file = archive.extractfile(info)
                    member = content[info.offset_data :][: info.size] if file else b""
                    if len(member) == info.size:
                        yield info.name, member
                    elif info.name == "in.tar":
                        _note_inner(found, member)
    except ERRORS:
        return
