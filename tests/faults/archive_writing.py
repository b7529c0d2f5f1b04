"""Zips and tars written field by field, so that any field can lie; checksums stay right."""

import gzip
import io
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any

from backports import zstd

from tests.faults.corpus import generated_jpegs

LOCAL = Struct("<4s5H3L2H")
ENTRY = Struct("<4s6H3L5H2L")
END = Struct("<4s4H2LH")

BLOCK = 512
NO_BLOCKS = bytes(2 * BLOCK)

DESCRIPTOR, UTF_8, UNIX = 0x8, 0x800, 3 << 8

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Zipped:
    """A member of a zip; ``local`` and ``central`` replace fields of its two headers."""

    name: str
    content: bytes
    method: int = 0
    flags: int = UTF_8
    local: Fields = field(default_factory=dict)
    central: Fields = field(default_factory=dict)

    @property
    def stored(self) -> bytes:
        """The bytes between its headers."""
        return deflated(self.content) if self.method == 8 else self.content

    @property
    def fields(self) -> dict[str, Any]:
        """What both headers say of it, if they say the truth."""
        return {
            "flags": self.flags,
            "method": self.method,
            "crc32": zlib.crc32(self.content),
            "stored": len(self.stored),
            "size": len(self.content),
            "name": self.name.encode("utf-8", "surrogateescape"),
            "extra": b"",
        }


@dataclass(frozen=True)
class Span:
    """Where a part of an archive lies; ``k`` is the number of its member."""

    part: str
    k: int
    start: int
    stop: int


@dataclass
class Written:
    """An archive and its parts, in their order."""

    content: bytes = b""
    spans: list[Span] = field(default_factory=list)

    def add(self, part: str, k: int, content: bytes) -> None:
        """Write one more part."""
        start = len(self.content)
        self.content += content
        self.spans.append(Span(part, k, start, start + len(content)))

    def without(self, span: Span) -> bytes:
        """All bytes but those of one part."""
        return self.content[: span.start] + self.content[span.stop :]


def write_zip(
    members: Sequence[Zipped], end: Fields | None = None, comment: bytes = b""
) -> Written:
    """Write a zip; ``end`` replaces fields of its end record."""
    written, offsets = Written(), []
    for k, member in enumerate(members):
        offsets.append(len(written.content))
        fields = member.fields | member.local
        later = bool(fields["flags"] & DESCRIPTOR) and not member.local
        sizes = (0, 0, 0) if later else (fields["crc32"], fields["stored"], fields["size"])
        written.add("local", k, local_header(fields, sizes))
        written.add("data", k, member.stored)
        if fields["flags"] & DESCRIPTOR:
            sizes = (fields["crc32"], fields["stored"], fields["size"])
            written.add("descriptor", k, Struct("<4s3L").pack(b"PK\7\x08", *sizes))
    start = len(written.content)
    for k, member in enumerate(members):
        entry = {"offset": offsets[k], "external": 0, **member.fields, **member.central}
        written.add("entry", k, central_entry(entry))
    length = len(written.content) - start
    said = {"entries": len(members), "length": length, "offset": start, **(end or {})}
    written.add("end", 0, end_record(said, comment))
    return written


def local_header(fields: Fields, sizes: tuple[int, int, int]) -> bytes:
    """Write a local header; ``sizes``: CRC-32, stored, size."""
    name, extra = fields["name"], fields["extra"]
    lengths = fields.get("name_length", len(name)), fields.get("extra_length", len(extra))
    head = b"PK\3\4", 20, fields["flags"], fields["method"], 0, 33
    return LOCAL.pack(*head, *sizes, *lengths) + name + extra


def central_entry(fields: Fields) -> bytes:
    """Write an entry of the central directory."""
    name, extra = fields["name"], fields["extra"]
    lengths = fields.get("name_length", len(name)), fields.get("extra_length", len(extra))
    head = b"PK\1\2", fields.get("made_by", UNIX), 20, fields["flags"], fields["method"], 0, 33
    sizes = fields["crc32"], fields["stored"], fields["size"]
    rest = fields.get("disk", 0), 0, fields["external"], fields["offset"]
    return ENTRY.pack(*head, *sizes, *lengths, 0, *rest) + name + extra


def end_record(fields: Fields, comment: bytes = b"") -> bytes:
    """Write the end of a central directory."""
    disk, count = fields.get("disk", 0), fields["entries"]
    numbers = disk, disk, count, count, fields["length"], fields["offset"]
    return END.pack(b"PK\5\6", *numbers, len(comment)) + comment


def deflated(content: bytes) -> bytes:
    """Compress without any header."""
    packing = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packing.compress(content) + packing.flush()


@dataclass(frozen=True)
class Tarred:
    """A member of a tar; ``fields`` replaces fields of its header, ``before`` stands before it."""

    name: str
    content: bytes
    fields: Fields = field(default_factory=dict)
    before: bytes = b""


def write_tar(members: Iterable[Tarred], end: bytes = NO_BLOCKS) -> Written:
    """Write a tar; names that are too long for a header get GNU's long name or pax in turn."""
    written = Written()
    for k, member in enumerate(members):
        raw = member.name.encode("utf-8", "surrogateescape")
        before = member.before
        if len(raw) > 100:
            before += gnu_name(raw) if k % 2 else pax({"path": raw})
        written.add("header", k, before + tar_header(raw, len(member.content), **member.fields))
        written.add("data", k, filled(member.content))
    written.add("end", 0, end)
    return written


def tar_header(name: bytes, size: int, **fields: Any) -> bytes:
    """Write a header block; its checksum is right whatever the fields say."""
    digits = fields.get("digits", b"%011o\0" % size)
    kind, link = fields.get("kind", b"0"), fields.get("link", b"")
    head = name[:100].ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    head += digits + b"14000000000\0" + b" " * 8 + kind + link.ljust(100, b"\0")
    head += fields.get("magic", b"ustar\0") + b"00" + bytes(80)
    block = bytearray((head + fields.get("prefix", b"")).ljust(BLOCK, b"\0"))
    if rest := fields.get("rest"):
        block[345 : 345 + len(rest)] = rest
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def filled(content: bytes) -> bytes:
    """Fill the last block."""
    return content + bytes(-len(content) % BLOCK)


def pax(records: Mapping[str, bytes], kind: bytes = b"x") -> bytes:
    """Write an extended header of pax."""
    content = b""
    for key, value in records.items():
        record = b" " + key.encode() + b"=" + value + b"\n"
        length = len(record) + len(str(len(record)))
        length = len(record) + len(str(length))
        content += str(length).encode() + record
    return tar_header(b"PaxHeader/x", len(content), kind=kind) + filled(content)


def gnu_name(name: bytes) -> bytes:
    """Write a long name as GNU does."""
    stored = name + b"\0"
    return tar_header(b"././@LongLink", len(stored), kind=b"L", magic=b"ustar ") + filled(stored)


def gzipped(content: bytes) -> bytes:
    """Compress with gzip, without the time."""
    return gzip.compress(content, mtime=0)


def zstandard(content: bytes, a_frame: int = 1 << 12) -> bytes:
    """Compress into Zstandard frames with checksums, as parallel writers do."""
    options = {zstd.CompressionParameter.checksum_flag: 1}
    parts = [content[k : k + a_frame] for k in range(0, len(content), a_frame)]
    return b"".join(zstd.compress(part, options=options) for part in parts)


def pictures(count: int, seed: int) -> list[bytes]:
    """Small JPEGs."""
    return generated_jpegs(count, seed, 40, 32)


def marked(picture: bytes, mark: str) -> bytes:
    """Make a JPEG that no other archive holds: a comment behind its first marker."""
    text = mark.encode()
    return picture[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text + picture[2:]


def as_zipped(named: Mapping[str, bytes], method: int, flags: int = UTF_8) -> list[Zipped]:
    """Members of a zip, honest."""
    return [Zipped(name, content, method, flags) for name, content in named.items()]


def as_tarred(named: Mapping[str, bytes]) -> list[Tarred]:
    """Members of a tar, honest."""
    return [Tarred(name, content) for name, content in named.items()]


def stream_of(content: bytes) -> io.BytesIO:
    """Read it as a file."""
    return io.BytesIO(content)
