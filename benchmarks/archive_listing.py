"""How long does it take to list a large archive, and how much memory and disk?

A zip, a tar and a tar.gz of tiny members (one byte each) are made and listed as a run lists them,
small and large: a child process walks the archive, the parent sorts the members on disk, writes the
listing and makes room for the rows. Each listing has a parent of its own, so that the peaks are its
own. Those of the small archive come first::

    python benchmarks/archive_listing.py --out result.json

Exit code 1 if a peak grows by more than 10 bytes a member, or a line of the listing has more than
200 bytes beside the name.
"""

import gzip
import multiprocessing
import os
import resource
import statistics
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from result import parser_of, publish

from hambatch.bench.measuring import peak_rss_mb
from hambatch.scoring.journal.rows import RowLog
from hambatch.sources.listing import list_sources
from hambatch.sources.source import find_sources

MOST_BYTES_A_MEMBER = 10

MOST_BYTES_BESIDE_THE_NAME = 200

UNLIMITED = 1e9
"""Bytes that a byte may inflate to: the generated tar.gz is nearly all zeros."""


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--members", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    few, many = chosen.members
    with tempfile.TemporaryDirectory(prefix="hambatch-archives-") as place:
        found = {kind: measured(kind, few, many, chosen.repeats, Path(place)) for kind in MAKERS}
    result = {
        "question": "how long does it take to list a large archive, and how much memory and disk?",
        "members": chosen.members,
        "repeats": chosen.repeats,
        "kinds": found,
    }
    publish(chosen.out, result, {kind: summary(one) for kind, one in found.items()})
    growth = [one["growth_bytes_a_member"][side] for one in found.values() for side in SIDES]
    last = [list(one["walks"].values())[-1] for one in found.values()]
    line = max(median(one, "bytes_beside_the_name") for one in last)
    sys.exit(max(growth) > MOST_BYTES_A_MEMBER or line > MOST_BYTES_BESIDE_THE_NAME)


def measured(kind: str, few: int, many: int, repeats: int, place: Path) -> dict[str, Any]:
    """Make one kind of archive in both sizes and walk it."""
    walks = {}
    for count in (few, many):
        path = place / f"{count}.{kind}"
        with path.open("wb") as stream:
            MAKERS[kind](stream, count)
        walks[str(count)] = [walked(path, count) for _ in range(repeats)]
        size = path.stat().st_size
        path.unlink()
    growth = {
        side: (median(walks[str(many)], side) - median(walks[str(few)], side)) * 1e6 / (many - few)
        for side in SIDES
    }
    return {"archive_bytes": size, "walks": walks, "growth_bytes_a_member": growth}


TIMES = ("seconds", "parent_cpu_seconds", "child_cpu_seconds")

SIDES = ("parent_peak_mb", "child_peak_mb")


def walked(path: Path, count: int) -> dict[str, float]:
    """List in a parent of its own; checks the number of members."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(listed, path).result()
    assert found.pop("members") == count
    return found


def listed(path: Path) -> dict[str, float]:
    """List an archive as a run does, and make room for its rows."""
    began, before = time.perf_counter(), time.process_time()
    sources = find_sources([path], max_ratio=UNLIMITED)
    place = path.with_suffix(".listing")
    listing = list_sources(sources, place)
    seconds, own = time.perf_counter() - began, time.process_time() - before
    names = sum(len(name.encode()) + 1 for name in listing.encoded())
    with closing(RowLog(path.with_suffix(".rows"), listing.count)) as log:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "members": log.images,
            "seconds": seconds,
            "parent_cpu_seconds": own,
            "child_cpu_seconds": used.ru_utime + used.ru_stime,
            "parent_peak_mb": peak_rss_mb(os.getpid()),
            "child_peak_mb": used.ru_maxrss * 1024 / 1e6,
            "bytes_beside_the_name": (place.stat().st_size - names) / listing.count,
        }


def median(walks: list[dict[str, float]], key: str) -> float:
    """Give the median of one figure."""
    return statistics.median(one[key] for one in walks)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """What is printed of one kind."""
    last = list(found["walks"].values())[-1]
    shown = {key: round(median(last, key), 2) for key in (*TIMES, *SIDES, "bytes_beside_the_name")}
    return shown | {"growth_bytes_a_member": found["growth_bytes_a_member"]}


def _names(count: int) -> Iterator[str]:
    return (f"patient_{k // 100:05d}/image_{k:07d}.jpg" for k in range(count))


def make_zip(stream: BinaryIO, count: int) -> None:
    """Write a zip, stored."""
    with zipfile.ZipFile(stream, "w") as archive:
        for name in _names(count):
            archive.writestr(name, b"x")


def make_tar(stream: BinaryIO, count: int) -> None:
    """Write a tar, with headers as GNU's tar writes them."""
    for name in _names(count):
        member = tarfile.TarInfo(name)
        member.size = 1
        stream.write(member.tobuf(tarfile.GNU_FORMAT))
        stream.write(b"x".ljust(tarfile.BLOCKSIZE, b"\0"))
    stream.write(bytes(2 * tarfile.BLOCKSIZE))


def make_compressed(stream: BinaryIO, count: int) -> None:
    """Write a tar.gz."""
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as packed:
        make_tar(packed, count)  # type: ignore[arg-type]


MAKERS: dict[str, Callable[[BinaryIO, int], None]] = {
    "zip": make_zip,
    "tar": make_tar,
    "tar.gz": make_compressed,
}


if __name__ == "__main__":
    main()
