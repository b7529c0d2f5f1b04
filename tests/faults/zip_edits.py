"""Zips whose fields lie: each edit says which members it touched, and which bytes a row may have.

Every function takes its chance from ``rng`` alone, and honest members.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.faults.archive_writing import (
    DESCRIPTOR,
    END,
    UTF_8,
    Zipped,
    central_entry,
    deflated,
    end_record,
    local_header,
    write_zip,
)
from tests.faults.hostile_archive import Edited, Rng, escaping

ZipEdit = Callable[[Rng, Sequence[Zipped]], Edited]


def _one(rng: Rng, members: Sequence[Zipped]) -> tuple[int, Zipped]:
    k = int(rng.integers(len(members)))
    return k, members[k]


def _with(members: Sequence[Zipped], k: int, member: Zipped) -> list[Zipped]:
    return [*members[:k], member, *members[k + 1 :]]


def _central(rng: Rng, members: Sequence[Zipped], **fields: Any) -> Edited:
    """Let the central directory alone say something of one member.

    If it says that it is longer, those behind it lie in its bytes.
    """
    k, member = _one(rng, members)
    edited = write_zip(_with(members, k, replace(member, central=fields)))
    covered = members[k:] if fields.get("stored", 0) > len(member.stored) else members[k : k + 1]
    return Edited(edited.content, frozenset(one.name for one in covered))


def _local(rng: Rng, members: Sequence[Zipped], **fields: Any) -> Edited:
    k, member = _one(rng, members)
    edited = write_zip(_with(members, k, replace(member, local=fields)))
    return Edited(edited.content, frozenset({member.name}), frozenset({member.name}))


def _number(rng: Rng) -> int:
    """A size or a place that fits, nearly fits, or is far away."""
    return int(rng.choice([0, 1, 30, 512, 4096, 1 << 30, (1 << 32) - 2, (1 << 32) - 1]))


def central_size(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A size that lies, up to 4 GiB."""
    return _central(rng, members, size=_number(rng))


def central_stored(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A stored size that lies."""
    return _central(rng, members, stored=_number(rng))


def both_sizes(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Both sizes say the same wrong thing."""
    number = _number(rng)
    return _central(rng, members, size=number, stored=number)


def central_crc(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A CRC-32 that lies."""
    return _central(rng, members, crc32=int(rng.integers(1 << 32)))


def central_method(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Another method in the directory: Deflate64, bzip2, AES, or the one that it is not."""
    k, member = _one(rng, members)
    method = int(rng.choice([9, 12, 14, 93, 99, 8 - member.method]))
    edited = write_zip(_with(members, k, replace(member, central={"method": method})))
    return Edited(edited.content, frozenset({member.name}), frozenset({member.name}))


def local_method(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Another method in the local header."""
    return _local(rng, members, method=int(rng.choice([1, 9, 12, 99])))


def encrypted(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """The flag of encryption, in one header or in both."""
    k, member = _one(rng, members)
    where = int(rng.integers(3))
    flag = {"flags": member.flags | 1}
    lied = replace(member, local=flag if where != 1 else {}, central=flag if where != 0 else {})
    content = write_zip(_with(members, k, lied)).content
    return Edited(content, frozenset({member.name}), frozenset({member.name}))


def local_name(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Another name in the local header, at times that of another member."""
    name = members[int(rng.integers(len(members)))].name if rng.random() < 0.5 else "other.jpg"
    k, member = _one(rng, members)
    if name == member.name:
        name = "other.jpg"
    edited = write_zip(_with(members, k, replace(member, local={"name": name.encode()})))
    return Edited(edited.content, frozenset({member.name}), frozenset({member.name}))


def unlike_an_image(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A name in the directory that gets no row by itself, and an image's in the local header."""
    k, member = _one(rng, members)
    name = ["notes.txt", "table.csv", "in.zip"][int(rng.integers(3))]
    edited = write_zip(_with(members, k, replace(member, central={"name": name.encode()})))
    return Edited(edited.content, frozenset({member.name}), frozenset({name}))


def local_size(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Sizes or a CRC-32 in the local header that are not those of the directory."""
    k, member = _one(rng, members)
    which = ["size", "stored", "crc32"][int(rng.integers(3))]
    lie = {which: member.fields[which] + int(rng.integers(1, 1000))}
    edited = write_zip(_with(members, k, replace(member, local=lie)))
    return Edited(edited.content, frozenset({member.name}), frozenset({member.name}))


def two_readings(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Two pictures behind one another: one by the local header, one by the directory."""
    k, member = _one(rng, members)
    other = members[(k + 1) % len(members)].content
    whole = Zipped(member.name, member.content + other, 0, member.flags)
    first = len(member.content), zlib.crc32(member.content)
    said = {"stored": first[0], "size": first[0], "crc32": first[1]}
    lied = replace(whole, central=said, local={"flags": member.flags & ~DESCRIPTOR})
    content = write_zip(_with(members, k, lied)).content
    return Edited(content, frozenset({member.name}), frozenset({member.name}))


def other_offset(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """The place of another member, or one between two."""
    k, member = _one(rng, members)
    honest = write_zip(members)
    starts = {span.k: span.start for span in honest.spans if span.part == "local"}
    other = int(rng.integers(len(members)))
    place = starts[other] + (0 if other != k and rng.random() < 0.5 else int(rng.integers(1, 99)))
    edited = write_zip(_with(members, k, replace(member, central={"offset": place})))
    # Which of two members at one place is meant is not known.
    return Edited(edited.content, never=frozenset({member.name}), any_may_fail=True)


def far_offset(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A place behind the archive's end."""
    return _central(rng, members, offset=int(rng.choice([1 << 20, 1 << 31, (1 << 32) - 2])))


def overlapping(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """One member's bytes are those of all the following ones."""
    k = int(rng.integers(len(members) - 1))
    member, honest = members[k], write_zip(members)
    inside = {span.k: span for span in honest.spans if span.part == "data"}
    last = len(members) - 1
    start, stop = inside[k].start, inside[last].stop
    crc32 = zlib.crc32(honest.content[start:stop])
    said = {"stored": stop - start, "size": stop - start, "crc32": crc32, "method": 0}
    content = write_zip(_with(members, k, replace(member, central=said, local={}))).content
    return Edited(content, frozenset(one.name for one in members[k:]), frozenset({member.name}))


def duplicate_name(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Two members of one name, each with its bytes."""
    k, member = _one(rng, members)
    other = (k + 1) % len(members)
    renamed = replace(members[other], name=member.name)
    content = write_zip(_with(members, other, renamed)).content
    first, second = sorted((k, other))
    also = {
        member.name: (members[first].content,),
        f"{member.name}#2": (members[second].content,),
    }
    return Edited(content, frozenset({member.name, members[other].name}), also=also)


def named(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A name that leads out of the archive, or that no file system has."""
    k, member = _one(rng, members)
    name = escaping(rng)
    content = write_zip(_with(members, k, replace(member, name=name, flags=UTF_8))).content
    return Edited(content, frozenset({member.name}), also={name: (member.content,)})


def name_length(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A length of a name or of extra fields that lies; the directory is one string of entries."""
    k, member = _one(rng, members)
    which = ["name_length", "extra_length"][int(rng.integers(2))]
    lie = {which: int(rng.choice([0, 1, 200, 65535]))}
    if rng.random() < 0.5:
        edited = write_zip(_with(members, k, replace(member, local=lie)))
        return Edited(edited.content, frozenset({member.name}))
    edited = write_zip(_with(members, k, replace(member, central=lie)))
    return Edited(edited.content, frozenset(one.name for one in members[k:]))


def extra_fields(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Extra fields that are cut off, repeated, or of no known kind: no reader needs them."""
    k, member = _one(rng, members)
    kinds = [b"\1\0", b"\1\0\xff\xff", b"UT\5\0\3abcd", b"\x99\x99\4\0abcd", rng.bytes(17)]
    extra = b"".join(kinds[int(n)] for n in rng.integers(len(kinds), size=3))
    lied = replace(member, local={"extra": extra}, central={"extra": extra})
    content = write_zip(_with(members, k, lied)).content
    # Random bytes may be a zip64 field, or another name.
    return Edited(content, frozenset({member.name}))


def zip64(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Sizes of 64 bits: right, nonsense, or missing."""
    k, member = _one(rng, members)
    size, stored = len(member.content), len(member.stored)
    right = struct.pack("<HHQQ", 1, 16, size, stored)
    fields = [
        right,
        struct.pack("<HHQQ", 1, 16, 1 << 62, stored),
        struct.pack("<HHQQ", 1, 16, (1 << 64) - 1, (1 << 64) - 1),
        struct.pack("<HHQ", 1, 8, size),
        b"",
    ]
    which = int(rng.integers(len(fields)))
    full = {"size": 0xFFFFFFFF, "stored": 0xFFFFFFFF, "extra": fields[which]}
    lied = replace(member, central=full)
    touched = frozenset() if which == 0 else frozenset({member.name})
    return Edited(write_zip(_with(members, k, lied)).content, touched)


def zip64_end(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """An end record of 64 bits whose place or numbers are nonsense."""
    content = write_zip(members).content
    end = len(content) - 22
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *rng.integers(1 << 62, size=4))
    place = int(rng.choice([end, end + 7, 0, 1 << 62]))
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, int(rng.choice([1, 1, 2, 0])))
    return Edited(content[:end] + record + locator + content[end:], any_may_fail=True)


def comment_with_an_end(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A comment that holds the end of another directory: two archives, as one reads them."""
    honest = write_zip(members)
    inner = next(span for span in honest.spans if span.part == "end").start + END.size
    entry = central_entry({**members[0].fields, "offset": 0, "external": 0})
    offset = inner if rng.random() < 0.5 else 0
    comment = entry + end_record({"entries": 1, "length": len(entry), "offset": offset})
    return Edited(write_zip(members, comment=comment).content, any_may_fail=True)


def end_fields(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A count, a length or a place in the end record that lies."""
    which = ["entries", "length", "offset", "disk"][int(rng.integers(4))]
    lie = int(rng.choice([0, 1, 7, 300, 0xFFFE]))
    honest = write_zip(members, {which: lie})
    return Edited(honest.content, any_may_fail=True)


def symbolic_link(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A link, a device or a FIFO."""
    k, member = _one(rng, members)
    mode = int(rng.choice([0o120777, 0o020666, 0o010644]))
    content = write_zip(
        _with(members, k, replace(member, central={"external": mode << 16}))
    ).content
    return Edited(content, frozenset({member.name}), frozenset({member.name}))


def bomb(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Megabytes of zeros from a few kilobytes, with a size that is true or lies."""
    k, member = _one(rng, members)
    zeros = Zipped(member.name, bytes(int(rng.choice([1, 4, 12])) << 20), 8)
    if rng.random() < 0.5:
        zeros = replace(zeros, central={"size": len(member.content)})
    content = write_zip(_with(members, k, zeros)).content
    return Edited(content, frozenset({member.name}), frozenset({member.name}))


def nested_bomb(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A bomb in a zip in the zip, compressed again."""
    inner = write_zip([Zipped("zeros.jpg", bytes(1 << 20), 8)]).content
    for _ in range(int(rng.integers(1, 4))):
        inner = write_zip([Zipped("deeper.zip", inner, 8)]).content
    bombed = Zipped("bomb.zip", inner, int(rng.choice([0, 8])))
    return Edited(write_zip([*members, bombed]).content)


def descriptor(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """A data descriptor that lies, or that is not there: the directory is what counts."""
    k, member = _one(rng, members)
    described = replace(member, flags=member.flags | DESCRIPTOR)
    written = write_zip(_with(members, k, described))
    span = next(s for s in written.spans if s.part == "descriptor" and s.k == k)
    content = bytearray(written.content)
    content[span.start : span.stop] = rng.bytes(span.stop - span.start)
    return Edited(bytes(content), frozenset({member.name}))


def repacked(rng: Rng, members: Sequence[Zipped]) -> Edited:
    """Deflated bytes with others behind them, which their sizes count in."""
    k, member = _one(rng, members)
    stored = deflated(member.content) + rng.bytes(int(rng.integers(1, 50)))
    fields = {**member.fields, "method": 8, "stored": len(stored)}
    sizes = fields["crc32"], fields["stored"], fields["size"]
    before = write_zip(members[:k])
    start = next(s.start for s in before.spans if s.part == "end") - sum(
        s.stop - s.start for s in before.spans if s.part == "entry"
    )
    content = before.content[:start] + local_header(fields, sizes) + stored
    entries = [before.content[s.start : s.stop] for s in before.spans if s.part == "entry"]
    entries.append(central_entry({**fields, "offset": start, "external": 0}))
    numbers = {"entries": k + 1, "length": len(b"".join(entries)), "offset": len(content)}
    content += b"".join(entries) + end_record(numbers)
    gone = frozenset(one.name for one in members[k:])
    return Edited(content, gone)


ZIP_EDITS: tuple[ZipEdit, ...] = (
    central_size,
    central_stored,
    both_sizes,
    central_crc,
    central_method,
    local_method,
    encrypted,
    local_name,
    unlike_an_image,
    local_size,
    two_readings,
    other_offset,
    far_offset,
    overlapping,
    duplicate_name,
    named,
    name_length,
    extra_fields,
    zip64,
    zip64_end,
    comment_with_an_end,
    end_fields,
    symbolic_link,
    bomb,
    nested_bomb,
    descriptor,
    repacked,
)
