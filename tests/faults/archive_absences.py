"""Archives that lack exactly one part, and files that lack one inside archives of every kind."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import cycle

import numpy as np

from tests.faults.absences import absences
from tests.faults.archive_damage import Archive, Named, good_archive, members_of
from tests.faults.archive_writing import (
    DESCRIPTOR,
    UTF_8,
    Written,
    as_tarred,
    as_zipped,
    gzipped,
    write_tar,
    write_zip,
    zstandard,
)
from tests.faults.corpus import scattered

Rng = np.random.Generator
Lacking = tuple[str, str, bytes]
"""What is missing, the suffix of the archive, and its bytes."""

HOLDERS = ("stored.zip", "deflated.zip", "tar", "tar.gz", "tar.zst")
"""Kinds of archives that hold files which lack a part."""

A_PART = "a part that is missing"


def files_that_lack_a_part(seed: int, count: int, an_archive: int = 20) -> list[Archive]:
    """Put files that lack a part, and their intact twins, into archives of every kind in turn."""
    made, archives = absences(seed, count), []
    for k, form in zip(range(0, count, an_archive), cycle(HOLDERS)):
        some = made[k : k + an_archive]
        lacking = {scattered(f"absence {a.k}"): a.content for a in some}
        twins = {scattered(f"twin {sha256(a.twin).hexdigest()}"): a.twin for a in some}
        mixed = dict(sorted((lacking | twins).items()))
        suffix = "zip" if form.endswith("zip") else form
        archives.append(
            Archive(
                k,
                form,
                "files that lack a part",
                f"absences {k}.{suffix}",
                held(form, mixed),
                frozenset(twins),
                frozenset(lacking),
                {name: frozenset({sha256(c).hexdigest()}) for name, c in twins.items()},
                frozenset({A_PART}),
            )
        )
    return archives


def held(form: str, named: Named) -> bytes:
    """Write an honest archive of a kind of :data:`HOLDERS`."""
    if form.endswith("zip"):
        return write_zip(as_zipped(named, 8 if form == "deflated.zip" else 0)).content
    packed: Callable[[bytes], bytes] = {"tar.gz": gzipped, "tar.zst": zstandard}.get(form, bytes)
    return packed(write_tar(as_tarred(named)).content)


def archives_that_lack_a_part(seed: int, rounds: int) -> list[Archive]:
    """Leave every part out of small archives in turn; and their intact twins, kind ``good``."""
    made = [good_archive(seed, 10_000 + k) for k in range(5 * rounds)]
    for number in range(rounds):
        rng = np.random.default_rng([seed, number])
        named = members_of(seed, 20_000 + number, 4, "lacking")
        for missing, suffix, content in _lacking(rng, named):
            known = {name: frozenset({sha256(c).hexdigest()}) for name, c in named.items()}
            # Where the bytes that lack are those before a long name, a tar has only its beginning.
            known |= {name[:100]: known[name] for name in named}
            name = f"lacks {number} {missing}.{suffix}"
            kind = f"lacks {missing}"
            # One hash that no row has: a failed row is wanted in any case.
            kept = frozenset({A_PART}).union(*known.values())
            archive = Archive(number, suffix, kind, name, content, allowed=known, kept=kept)
            made.append(archive)
    return made


def _lacking(rng: Rng, named: Named) -> Iterator[Lacking]:
    method = 8 * int(rng.integers(2))
    plain = write_zip(as_zipped(named, method))
    described = write_zip(as_zipped(named, method, UTF_8 | DESCRIPTOR))
    yield from _of_a_zip(rng, plain)
    yield "data descriptor", "zip", _without(rng, described, "descriptor")
    yield from _of_a_tar(rng, write_tar(as_tarred(named)))


def _of_a_zip(rng: Rng, zipped: Written) -> Iterator[Lacking]:
    entries = [span for span in zipped.spans if span.part == "entry"]
    directory = zipped.content[: entries[0].start], zipped.content[entries[-1].stop :]
    yield "end record", "zip", _without(rng, zipped, "end")
    yield "central directory", "zip", b"".join(directory)
    yield "central directory and end record", "zip", directory[0]
    yield "entry of the central directory", "zip", _without(rng, zipped, "entry")
    yield "local header", "zip", _without(rng, zipped, "local")
    yield "bytes of a member", "zip", _without(rng, zipped, "data")
    yield "last byte", "zip", zipped.content[:-1]


def _of_a_tar(rng: Rng, tar: Written) -> Iterator[Lacking]:
    content = tar.content
    yield "one of two blocks of zeros", "tar", content[:-512]
    yield "both blocks of zeros", "tar", content[:-1024]
    yield "header", "tar", _without(rng, tar, "header")
    yield "bytes of a member", "tar", _without(rng, tar, "data")
    packed, frames = gzipped(content), zstandard(content)
    yield "gzip trailer", "tar.gz", packed[:-8]
    yield "size in the gzip trailer", "tar.gz", packed[:-4]
    yield "gzip header", "tar.gz", packed[10:]
    yield "end of the tar", "tar.gz", gzipped(content[:-1024])
    yield "zstd checksum", "tar.zst", frames[:-4]
    last = frames.rfind(b"\x28\xb5\x2f\xfd")
    yield "last zstd frame", "tar.zst", frames[:last]
    yield "first bytes of zstd", "tar.zst", frames[4:]
    yield "end of the tar", "tar.zst", zstandard(content[:-1024])


def _without(rng: Rng, written: Written, part: str) -> bytes:
    """Leave out one part of a kind."""
    spans = [span for span in written.spans if span.part == part]
    return written.without(spans[int(rng.integers(len(spans)))])
