"""Tars whose headers lie, with checksums that are right; each edit as those of zips."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tests.faults.archive_writing import (
    BLOCK,
    NO_BLOCKS,
    Tarred,
    filled,
    gnu_name,
    pax,
    tar_header,
    write_tar,
    zstandard,
)
from tests.faults.hostile_archive import Edited, Rng, escaping

TarEdit = Callable[[Rng, Sequence[Tarred]], Edited]


def _one(rng: Rng, members: Sequence[Tarred]) -> tuple[int, Tarred]:
    k = int(rng.integers(len(members)))
    return k, members[k]


def _with(members: Sequence[Tarred], k: int, member: Tarred) -> list[Tarred]:
    return [*members[:k], member, *members[k + 1 :]]


def _names(members: Sequence[Tarred]) -> frozenset[str]:
    return frozenset(member.name for member in members)


def _lied(members: Sequence[Tarred], k: int, **fields: Any) -> bytes:
    return write_tar(_with(members, k, replace(members[k], fields=fields))).content


def size_too_large(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A header of 512 bytes that claims up to 1 GiB, or more than numbers hold."""
    k, _ = _one(rng, members)
    digits = [
        b"%011o\0" % (1 << 30),
        b"%011o\0" % (len(members[k].content) + BLOCK),
        b"77777777777\0",
        b"\x80" + (1 << 40).to_bytes(11),
        b"\x80" + b"\xff" * 11,
        b"\xff" * 12,
    ]
    content = _lied(members, k, digits=digits[int(rng.integers(len(digits)))])
    start = next(s.start for s in write_tar(members).spans if s.part == "data" and s.k == k)
    more = content[start : start + len(members[k].content) + BLOCK]
    return Edited(content, _names(members[k:]), also={members[k].name: (more,)})


def size_too_small(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A size that ends within the bytes: what follows is no header."""
    k, member = _one(rng, members)
    size = int(rng.integers(len(member.content)))
    content = _lied(members, k, digits=b"%011o\0" % size)
    # Where the end falls into the last block, nothing else is wrong.
    also = {member.name: (member.content[:size],)}
    return Edited(content, _names(members[k:]), also=also, gone=frozenset({member.name}))


def size_is_no_number(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """Digits that are none."""
    k, _ = _one(rng, members)
    digits = [b"abcdefghijk\0", b"-0000000001\0", b"99999999999\0", b" " * 12, rng.bytes(12)]
    content = _lied(members, k, digits=digits[int(rng.integers(len(digits)))])
    return Edited(content, _names(members[k:]), also={members[k].name: (b"",)})


def kind(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A link, a device, a FIFO, a folder, a sparse or a continued member, or no known kind."""
    k, member = _one(rng, members)
    kinds = b"123456SMVDAZ"
    which = kinds[int(rng.integers(len(kinds)))]
    content = _lied(members, k, kind=bytes([which]), link=b"/etc/passwd")
    whole = {member.name: (member.content,)} if which in b"AZ" else {}
    # A header without bytes of its own is followed by bytes that are no header; GNU's lists of a
    # folder (D) and names of an archive (V) are passed over.
    gone = frozenset({member.name} if which in b"DV" else ())
    return Edited(content, _names(members[k:]), also=whole, gone=gone)


def link_alone(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A link, whole, among others: it may lead out of the archive."""
    k, _ = _one(rng, members)
    which = [b"1", b"2"][int(rng.integers(2))]
    target = [b"/etc/passwd", b"../../x.jpg", members[k].name.encode()[:90], b"link.jpg"]
    link = Tarred("link.jpg", b"", {"kind": which, "link": target[int(rng.integers(4))]})
    content = write_tar([*members[:k], link, *members[k:]]).content
    return Edited(content, never=frozenset({"link.jpg"}))


def pax_size(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A size in pax records that overrides the header's: right, or nonsense."""
    k, member = _one(rng, members)
    said = [b"%d" % len(member.content), b"-1", b"1e3", b"", b"%d" % (1 << 60), b"9" * 30, b"0x10"]
    which = int(rng.integers(len(said)))
    content = _before(members, k, pax({"size": said[which]}))
    return Edited(content, frozenset() if which == 0 else _names(members[k:]))


def pax_path(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A path in pax records that overrides the header's, and leads anywhere."""
    k, _ = _one(rng, members)
    name = escaping(rng)
    content = _before(members, k, pax({"path": name.encode("utf-8", "surrogateescape")}))
    return _renamed(content, members, k, name)


def pax_nonsense(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """Records that cannot be read, or a path with a byte 0, or none."""
    k, member = _one(rng, members)
    contents = [
        b"12 path=a.jpg\n",
        b"99999 path=a.jpg\n",
        b"0 path=a.jpg\n",
        b"path=a.jpg\n",
        b"15 path=\0\0.jpg\n",
        b"8 path=\n",
        b"-5 a=b\n",
        rng.bytes(40),
    ]
    chosen = contents[int(rng.integers(len(contents)))]
    before = tar_header(b"PaxHeader/x", len(chosen), kind=b"x") + filled(chosen)
    names = ("\0\0.jpg", "(no name)", "a.jpg", "a.jpg\n")
    also = {name: (member.content,) for name in names}
    return Edited(_before(members, k, before), _names(members[k:]), also=also)


def pax_global(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """Records for all members that follow: one path for several of them."""
    k, _ = _one(rng, members)
    before = pax({"path": b"common.jpg"}, b"g")
    contents = tuple(member.content for member in members[k:])
    also = {f"common.jpg#{n + 1}": contents for n in range(1, len(contents))}
    also["common.jpg"] = contents
    return Edited(_before(members, k, before), _names(members[k:]), also=also)


def pax_sparse(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """Records of a sparse member, whose bytes are not where its header says."""
    k, member = _one(rng, members)
    records = {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.name": b"s.jpg"}
    content = _before(members, k, pax({**records, "GNU.sparse.realsize": b"5"}))
    return Edited(content, frozenset({member.name}), frozenset({"s.jpg", member.name}))


def long_name(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A long name of GNU that leads anywhere, or is too long for any file system."""
    k, _ = _one(rng, members)
    if rng.random() < 0.2:
        huge = tar_header(b"././@LongLink", 1 << 29, kind=b"L", magic=b"ustar ")
        return Edited(_before(members, k, huge), _names(members[k:]))
    name = escaping(rng)
    content = _before(members, k, gnu_name(name.encode("utf-8", "surrogateescape")))
    return _renamed(content, members, k, name)


def name_of_nothing(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A long name without a member behind it."""
    del rng
    written = write_tar(members, gnu_name(b"lost.jpg") + NO_BLOCKS)
    return Edited(written.content)


def duplicate_name(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """Two members of one name, as a tar has that was appended to."""
    k, member = _one(rng, members)
    other = (k + 1) % len(members)
    content = write_tar(_with(members, other, replace(members[other], name=member.name))).content
    first, second = sorted((k, other))
    also = {
        member.name: (members[first].content,),
        f"{member.name}#2": (members[second].content,),
    }
    return Edited(content, frozenset({member.name, members[other].name}), also=also)


def two_tars(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """Another tar behind the end, as ``cat`` joins them."""
    del rng
    behind = write_tar([Tarred("behind.jpg", members[0].content + b"behind")]).content
    return Edited(write_tar(members).content + behind, never=frozenset({"behind.jpg"}))


def early_end(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """One or two blocks of zeros between members."""
    k, member = _one(rng, members)
    zeros = bytes(BLOCK * int(rng.integers(1, 3)))
    content = write_tar(_with(members, k, replace(member, before=zeros))).content
    return Edited(content, _names(members[k:]))


def prefix(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A prefix of ustar that leads out, or the rest of an old GNU header in its place."""
    k, member = _one(rng, members)
    if rng.random() < 0.5:
        content = _lied(members, k, rest=b"../../tmp")
        return _renamed(content, members, k, f"../../tmp/{member.name}")
    content = _lied(members, k, magic=b"ustar ", rest=b"14000000000\0" * 2)
    return Edited(content)


def _before(members: Sequence[Tarred], k: int, before: bytes) -> bytes:
    return write_tar(_with(members, k, replace(members[k], before=before))).content


def _renamed(content: bytes, members: Sequence[Tarred], k: int, name: str) -> Edited:
    """A member under another name; where its own is long, that one may count."""
    member = members[k]
    return Edited(content, frozenset({member.name}), also={name: (member.content,)})


def bomb(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A member of zeros, which a compressed tar holds in a few bytes."""
    zeros = Tarred("zeros.jpg", bytes(int(rng.choice([1, 4])) << 20))
    return Edited(write_tar([*members, zeros]).content, also={"zeros.jpg": (zeros.content,)})


def nested_bomb(rng: Rng, members: Sequence[Tarred]) -> Edited:
    """A compressed tar in the tar."""
    inner = zstandard(write_tar([Tarred("zeros.jpg", bytes(1 << 20))]).content, 1 << 20)
    where = int(rng.integers(len(members) + 1))
    made = [*members[:where], Tarred("bomb.tar.zst", inner), *members[where:]]
    return Edited(write_tar(made).content)


TAR_EDITS: tuple[TarEdit, ...] = (
    size_too_large,
    size_too_small,
    size_is_no_number,
    kind,
    link_alone,
    pax_size,
    pax_path,
    pax_nonsense,
    pax_global,
    pax_sparse,
    long_name,
    name_of_nothing,
    duplicate_name,
    two_tars,
    early_end,
    prefix,
    bomb,
    nested_bomb,
)
