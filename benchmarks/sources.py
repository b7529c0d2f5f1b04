"""Do archives and manifests give the rows of the folder, and as fast?

The same JPEGs lie in two folders, in a zip (stored, and deflated), a tar, a tar.gz, a tar.zst, and
are named by a manifest. First every kind is scored whole, and the rows are compared. Then, in
every turn, whole processes of `hambatch score` take turns: each kind scores one image, and then
``--count`` of them, in an order that changes from turn to turn::

    python benchmarks/sources.py --images DIR --turns 8 --out result.json

The rate is that of the further images; ``fixed_s`` is the time for one. Ratios are those to the
two folders within a turn, with 95 % intervals. Exit code 1 if a row differs.
"""

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from contenders.ratios import interval
from result import parser_of, publish

from hambatch.system.files import sha256_of_bytes

FOLDERS = "two folders"


def main() -> None:
    """Compare, measure, write it down."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", required=True, type=Path, help="folder of JPEGs")
    parser.add_argument("--count", type=int, default=1500, help="images of a timed run")
    parser.add_argument("--turns", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hambatch-sources-") as place:
        files = sorted(chosen.images.rglob("*.jpg"))
        rows = compare(made(files, Path(place) / "all"))
        turns = measure(files[: chosen.count], Path(place), chosen) if chosen.turns else []
    result = {
        "question": "do archives and manifests give the rows of the folder, and as fast?",
        "rows": {"images": len(files), **rows},
        "timed_images": chosen.count,
        "ratios_to_two_folders": ratios(turns) if len(turns) > 1 else {},
        "turns": turns,
    }
    publish(chosen.out, result, {k: result[k] for k in ("rows", "ratios_to_two_folders")})
    sys.exit(any(rows["differing"].values()))


def made(files: Sequence[Path], place: Path) -> dict[str, list[str]]:
    """Make every kind of source; gives the words of the command line, below ``place``."""
    halves = (files[: len(files) // 2], files[len(files) // 2 :])
    for name, half in zip(("first", "second"), halves, strict=True):
        (place / name).mkdir(parents=True)
        for file in half:
            shutil.copy(file, place / name)
    copies = [*(place / "first").iterdir(), *(place / "second").iterdir()]
    lines = [f"{path.relative_to(place)},{k}" for k, path in enumerate(copies)]
    (place / "list.csv").write_text("\n".join(["image,number", *lines]) + "\n")
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(place / f"{name}.zip", "w", method) as zipped:
            for path in copies:
                zipped.write(path, path.name)
    for name, mode in (("plain.tar", "w"), ("gzip.tar.gz", "w:gz")):
        with tarfile.open(place / name, mode) as tarred:  # type: ignore[call-overload]
            for path in copies:
                tarred.add(path, path.name)
    compressed = zstandard()((place / "plain.tar").read_bytes())
    (place / "zstd.tar.zst").write_bytes(compressed)
    archives = ("stored.zip", "deflated.zip", "plain.tar", "gzip.tar.gz", "zstd.tar.zst")
    words = {FOLDERS: ["first", "second"], "manifest": ["list.csv"]}
    words |= {name: [name] for name in archives}
    return {kind: [str(place / word) for word in named] for kind, named in words.items()}


def zstandard() -> Callable[[bytes], bytes]:
    """Find the library, which Python has since 3.14."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd
    compress: Callable[[bytes], bytes] = zstd.compress
    return compress


def compare(words: dict[str, list[str]]) -> dict[str, Any]:
    """Score every kind; say how many of its rows are not those of the folders, but for names."""
    with tempfile.TemporaryDirectory() as place:
        found = {kind: rows(named, Path(place) / "p.csv") for kind, named in words.items()}
    wanted = found[FOLDERS]
    differing = {kind: differences(wanted, now) for kind, now in found.items() if kind != FOLDERS}
    return {"kinds": len(found), "sha256": digest(wanted), "differing": differing}


def rows(words: Sequence[str], out: Path) -> dict[str, tuple[str, ...]]:
    """Score sources; gives the rows by the last part of their names, without a manifest's cells."""
    score(words, out)
    with out.open(encoding="utf-8", newline="") as stream:
        table = csv.reader(stream)
        last = next(table).index("reason") + 1
        found = {row[0].rpartition("/")[2]: tuple(row[1:last]) for row in table}
    return found


def differences(wanted: dict[str, Any], found: dict[str, Any]) -> int:
    """Count names with another row, or none."""
    return sum(wanted.get(name) != found.get(name) for name in wanted.keys() | found.keys())


def digest(found: dict[str, tuple[str, ...]]) -> str:
    """Hash rows in the order of their names."""
    lines = (",".join((name, *found[name])) for name in sorted(found))
    return sha256_of_bytes("\n".join(lines).encode())


def measure(
    files: Sequence[Path], place: Path, chosen: argparse.Namespace
) -> list[dict[str, dict[str, float]]]:
    """Give each turn's fixed cost and rate by kind; a warm-up is dropped."""
    one, many = made(files[:2], place / "one"), made(files, place / "many")
    kinds, turns = list(many), []
    for turn in range(chosen.turns + 1):
        found = {}
        for kind in [*kinds[turn % len(kinds) :], *kinds[: turn % len(kinds)]]:
            fixed = score(one[kind], place / "p.csv")
            rate = (len(files) - 2) / (score(many[kind], place / "p.csv") - fixed)
            found[kind] = {"fixed_s": round(fixed, 4), "rate": round(rate, 3)}
        turns += [found] if turn else []
    return turns


def score(words: Sequence[str], out: Path) -> float:
    """Time one process of `hambatch score`."""
    command = [sys.executable, "-m", "hambatch", "score", *words, "--out", str(out), "--overwrite"]
    started = time.perf_counter()
    subprocess.run(command, env={**os.environ}, check=True, capture_output=True)
    return time.perf_counter() - started


def ratios(turns: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Give mean and 95 % interval of the ratios within a turn, by kind."""
    found = {}
    for kind in turns[0]:
        pairs = {
            name: [turn[kind][name] / turn[FOLDERS][name] for turn in turns]
            for name in ("rate", "fixed_s")
        }
        found[kind] = {
            "rate": interval(pairs["rate"]),
            "fixed_s": interval(pairs["fixed_s"]),
            "images_per_s": round(statistics.median(turn[kind]["rate"] for turn in turns), 1),
        }
    return found


if __name__ == "__main__":
    main()
