"""Damaged and hostile archives of every kind, each one again from (seed, k).

Kinds of damage take turns, and each of them takes every kind of archive in turn.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

import numpy as np

from tests.faults.archive_readers import readable
from tests.faults.archive_writing import (
    DESCRIPTOR,
    UTF_8,
    Tarred,
    Zipped,
    as_tarred,
    as_zipped,
    gzipped,
    marked,
    pictures,
    write_tar,
    write_zip,
    zstandard,
)
from tests.faults.hostile_archive import Edited
from tests.faults.tar_edits import TAR_EDITS, TarEdit
from tests.faults.zip_edits import ZIP_EDITS, ZipEdit

Rng = np.random.Generator
ByteDamage = Callable[[Rng, bytes], bytes]
Named = dict[str, bytes]

PICTURES = 24
LARGE_EVERY = 16
INNER = {"zip": "in.zip", "tar": "in.tar"}

ZIP_FORMS = ("stored.zip", "deflated.zip", "described.zip", "zip in zip", "zip in tar")
TAR_FORMS = ("tar", "tar.gz", "tar.zst", "tar in zip", "tar in tar", "tar in tar.gz")
FORMS = (*ZIP_FORMS, *TAR_FORMS)


def flips(rng: Rng, content: bytes) -> bytes:
    """Flip up to 16 bits."""
    damaged = bytearray(content)
    for at in rng.integers(len(content), size=int(rng.integers(1, 17))):
        damaged[at] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def one_flip(rng: Rng, content: bytes) -> bytes:
    """Flip one bit."""
    damaged = bytearray(content)
    damaged[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def flip_near_end(rng: Rng, content: bytes) -> bytes:
    """Flip one bit of the last 700 bytes: directories and checksums stand there."""
    damaged = bytearray(content)
    damaged[-1 - int(rng.integers(min(700, len(content))))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def flip_near_start(rng: Rng, content: bytes) -> bytes:
    """Flip one bit of the first 64 bytes: the headers of gzip and Zstandard stand there."""
    damaged = bytearray(content)
    damaged[int(rng.integers(min(64, len(content))))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def cut(rng: Rng, content: bytes) -> bytes:
    """Keep the beginning only."""
    return content[: int(rng.integers(1, len(content)))]


def beheaded(rng: Rng, content: bytes) -> bytes:
    """Keep the end only."""
    return content[int(rng.integers(1, len(content))) :]


def _block(rng: Rng, content: bytes) -> tuple[int, int]:
    """A place and a size: of sectors, or of any bytes."""
    if rng.random() < 0.5:
        at = int(rng.integers(len(content) // 512 + 1)) * 512
        return at, 512 * int(rng.integers(1, 4))
    return int(rng.integers(len(content))), int(rng.integers(1, 1000))


def inserted(rng: Rng, content: bytes) -> bytes:
    """Insert random bytes."""
    at, size = _block(rng, content)
    return content[:at] + rng.bytes(size) + content[at:]


def removed(rng: Rng, content: bytes) -> bytes:
    """Leave bytes out."""
    at, size = _block(rng, content)
    return content[:at] + content[at + size :]


def zeroed(rng: Rng, content: bytes) -> bytes:
    """Fill bytes with zeros, as a disk does."""
    at, size = _block(rng, content)
    size = min(size, len(content) - at)
    return content[:at] + bytes(size) + content[at + size :]


def doubled(rng: Rng, content: bytes) -> bytes:
    """Write a block twice."""
    at, size = _block(rng, content)
    return content[: at + size] + content[at:]


def moved(rng: Rng, content: bytes) -> bytes:
    """Write a block over another one."""
    (at, size), (to, _) = _block(rng, content), _block(rng, content)
    part = content[at : at + size][: max(0, len(content) - to)]
    return content[:to] + part + content[to + len(part) :]


def behind(rng: Rng, content: bytes) -> bytes:
    """Add zeros or random bytes behind the end."""
    size = int(rng.integers(1, 2000))
    return content + (bytes(size) if rng.random() < 0.5 else rng.bytes(size))


BYTE_DAMAGE: tuple[ByteDamage, ...] = (
    flips,
    one_flip,
    flip_near_end,
    flip_near_start,
    cut,
    cut,
    beheaded,
    inserted,
    removed,
    zeroed,
    doubled,
    moved,
    behind,
)


@dataclass(frozen=True)
class Archive:
    """A damaged archive, and what its rows may say; names are those inside of it.

    Attributes
    ----------
    form, kind
        What it is, and what was done to it.
    wanted
        Members that have to be scored.
    never
        Members that have to be failed rows.
    allowed
        By name: the sha256 of what a scored row may be about.
    kept
        sha256 of every honest member: without a scored row of it there has to be a failed row.
    unproved
        By name: the sha256 of damaged bytes in a tar, which has no checksum of a member.
    """

    k: int
    form: str
    kind: str
    name: str
    content: bytes
    wanted: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    allowed: dict[str, frozenset[str]] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    unproved: dict[str, frozenset[str]] = field(default_factory=dict)


Kind = tuple[str, tuple[str, ...], ZipEdit | TarEdit | ByteDamage]

KINDS: tuple[Kind, ...] = (
    *(("zip", ZIP_FORMS, edit) for edit in ZIP_EDITS),
    *(("tar", TAR_FORMS, edit) for edit in TAR_EDITS),
    *(("bytes", FORMS, damage) for damage in BYTE_DAMAGE * 3),
)


def damaged_archive(seed: int, k: int) -> Archive:
    """Damage number ``k`` of a seed."""
    rng = np.random.default_rng([seed, k])
    family, forms, damage = KINDS[k % len(KINDS)]
    form = forms[k // len(KINDS) % len(forms)]
    named = members_of(seed, k, int(rng.integers(2, 6)))
    outer = {f"outer {n}.jpg": c for n, c in enumerate(members_of(seed, k, 2, "outer").values())}
    kind = f"{family} {damage.__name__}"
    name = f"{sha256(f'{seed} {k}'.encode()).hexdigest()[:12]}.{_suffix(form)}"
    if family == "bytes":
        content = written(form, named, outer)
        broken = damage(rng, content)  # type: ignore[call-arg, arg-type]
        honest = honest_members(form, named, outer)
        return _of_bytes(Archive(k, form, kind, name, broken), honest)
    members = _members(form, named)
    edited: Edited = damage(rng, members)  # type: ignore[call-arg, arg-type]
    content = wrapped(form, edited.content, outer)
    return _of_edit(Archive(k, form, kind, name, content), edited, named, outer)


def good_archive(seed: int, k: int) -> Archive:
    """An archive that nothing is wrong with."""
    form = FORMS[k % len(FORMS)]
    named = members_of(seed, k, 4, "good")
    outer = {f"outer {n}.jpg": c for n, c in enumerate(members_of(seed, k, 2, "side").values())}
    honest = honest_members(form, named, outer)
    name = f"{sha256(f'good {seed} {k}'.encode()).hexdigest()[:12]}.{_suffix(form)}"
    allowed = {inner: _hashes(content) for inner, content in honest.items()}
    content = written(form, named, outer)
    kept = frozenset().union(*allowed.values())
    return Archive(k, form, "good", name, content, frozenset(honest), frozenset(), allowed, kept)


def members_of(seed: int, k: int, count: int, what: str = "inner") -> Named:
    """Members of an archive, by name; no other archive holds their bytes."""
    shapes = (
        "%d.jpg",
        "sub/%d.jpeg",
        "lésion ü%d.jpg",
        "n" * 110 + "%d.jpg",
        "d" * 90 + "/p%d.jpg",
    )
    names = [shapes[(k + n) % len(shapes)] % n for n in range(count)]
    bases = _pictures(seed)
    named = {
        name: marked(bases[(k * 7 + n) % len(bases)], f"{what} {seed} {k} {n}")
        for n, name in enumerate(names)
    }
    if what == "inner" and k % LARGE_EVERY == 0:
        named[names[0]] = _enlarged(named[names[0]], np.random.default_rng([seed, k, 1]))
    return named


def _enlarged(picture: bytes, rng: Rng) -> bytes:
    """Make it larger than what is read at a time, by comments of random bytes."""
    for _ in range(int(rng.integers(3, 12))):
        picture = picture[:2] + b"\xff\xfe\xea\x62" + rng.bytes(60_000) + picture[2:]
    return picture


@lru_cache(maxsize=4)
def _pictures(seed: int) -> Sequence[bytes]:
    return pictures(PICTURES, seed)


def _suffix(form: str) -> str:
    last = form.split(" in ")[-1]
    return last if last.startswith("tar") else "zip"


def _members(form: str, named: Named) -> Sequence[Zipped] | Sequence[Tarred]:
    inner = form.split(" in ")[0]
    if inner.startswith("tar"):
        return as_tarred(named)
    flags = UTF_8 | DESCRIPTOR if inner == "described.zip" else UTF_8
    return as_zipped(named, 8 if inner in ("deflated.zip", "described.zip") else 0, flags)


def written(form: str, named: Named, outer: Named) -> bytes:
    """Write an honest archive."""
    members = _members(form, named)
    is_tar = form.startswith("tar")
    content = write_tar(members) if is_tar else write_zip(members)  # type: ignore[arg-type]
    return wrapped(form, content.content, outer)


def wrapped(form: str, content: bytes, outer: Named) -> bytes:
    """Compress an archive, or put it between two members of another one."""
    inner, _, around = form.partition(" in ")
    if around:
        first, second = outer.items()
        named = dict([first, (INNER[inner], content), second])
        is_zip = around == "zip"
        content = (
            write_zip(as_zipped(named, 0)).content
            if is_zip
            else write_tar(as_tarred(named)).content
        )
    packed = {"tar.gz": gzipped, "tar.zst": zstandard}.get(around or inner)
    return packed(content) if packed else content


def honest_members(form: str, named: Named, outer: Named) -> Named:
    """All members of an honest archive, by the names of their rows."""
    inner, _, around = form.partition(" in ")
    return {**outer, **{f"{INNER[inner]}!/{n}": c for n, c in named.items()}} if around else named


def _of_edit(archive: Archive, edited: Edited, named: Named, outer: Named) -> Archive:
    form = archive.form
    before = f"{INNER[form.partition(' in ')[0]]}!/" if " in " in form else ""
    honest = honest_members(form, named, outer)
    touched = named.keys() if edited.any_may_fail else edited.touched
    allowed = {name: _hashes(content) for name, content in honest.items()}
    for name, contents in edited.also.items():
        # pax and GNU names go without the ./ before them.
        allowed[before + name] = allowed.get(before + name, frozenset()) | _hashes(*contents)
    kept = {c for name, c in honest.items() if name.removeprefix(before) not in edited.gone}
    return Archive(
        **{**vars(archive)}
        | {
            "wanted": frozenset(honest) - {before + name for name in touched},
            "never": frozenset(before + name for name in edited.never),
            "allowed": allowed,
            "kept": _hashes(*kept),
        }
    )


def _of_bytes(archive: Archive, honest: Named) -> Archive:
    found = readable(archive.content)
    counts = Counter(name for name, _ in found.members)
    wanted = {n for n, content in found.members if honest.get(n) == content and counts[n] == 1}
    kept = honest.values()
    if archive.form.endswith("tar") and archive.kind == "bytes removed":
        # Where whole members are taken out, what is left is a tar that lacks nothing.
        kept = [content for _, content in found.members if content in honest.values()]
    unproved: dict[str, frozenset[str]] = {}
    for name, content in found.unproved:
        unproved[name] = unproved.get(name, frozenset()) | _hashes(content)
    return Archive(
        **{**vars(archive)}
        | {
            "wanted": frozenset(wanted),
            "allowed": {name: _hashes(content) for name, content in honest.items()},
            "kept": _hashes(*kept),
            "unproved": unproved,
        }
    )


def _hashes(*contents: bytes) -> frozenset[str]:
    return frozenset(sha256(content).hexdigest() for content in contents)
