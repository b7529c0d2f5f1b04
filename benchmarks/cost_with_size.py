"""What does an image cost in a larger folder, and what does a larger image cost?

Two tables. `counts`: whole `hambatch score` processes over 1,000, 10,000 and 100,000 hard
links to the same few images: images/s less a run over a single image, and the peak
resident size of parent and worker. `sizes`: at 600x450, 2 and 12 megapixels (real images
resized, JPEG quality 90): decoding alone, inference alone and the run, in turns, and which
of the two bounds it::

    python benchmarks/cost_with_size.py --images DIR --out result.json

Without --images, pictures are drawn. Needs Linux and the checkout's tests.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contenders.task import Task
from contenders.turns import entries, say, take_turns
from memory import peaks
from picture_folders import described, filled, pictures, resized
from result import parser_of, publish

from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.system.cpu import available_cores
from tests.faults.command import Command, rows_of_file

SIZES = ("600x450", "1600x1200", "4000x3000")
"""0.27, 1.92 and 12 megapixels."""

STAGES = ("score", "own_inference", "own_decode")


def main() -> None:
    """Measure, print and write."""
    chosen = parsed()
    engine = load_engine(find_engine(chosen.engine).resolve())
    with tempfile.TemporaryDirectory(prefix="hambatch-size-", dir=chosen.scratch) as place:
        scratch = Path(place)
        found = pictures(chosen.images, scratch / "drawn", chosen.distinct)
        task = Task(scratch, (), engine.folder, chosen.precision, available_cores(), scratch)
        result = {
            "question": "what does an image cost in a larger folder, and a larger image?",
            "precision": chosen.precision,
            **described(found),
            "counts": {str(n): of_count(task, found, n, chosen.repeats) for n in chosen.counts},
            "sizes": {
                size: of_size(task, found, size, chosen.size_count, chosen.repeats)
                for size in chosen.sizes
            },
            "engine_json_sha256": engine.manifest_sha256,
        }
    publish(chosen.out, result, {key: result[key] for key in ("counts", "sizes")})


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: drawn ones")
    parser.add_argument("--distinct", type=int, default=300, help="images that all link to")
    parser.add_argument("--counts", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), metavar="WIDTHxHEIGHT")
    parser.add_argument("--size-count", type=int, default=300, help="images a turn of `sizes`")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--scratch", type=Path, help="default: the system's temporary folder")
    return parser.parse_args()


def of_count(task: Task, found: list[Path], count: int, repeats: int) -> dict[str, Any]:
    """Rate and peaks of whole runs over so many images."""
    folder, single = task.scratch / f"{count}", task.scratch / f"single_{count}"
    filled(folder, found, count)
    filled(single, found, 1)
    turns: dict[str, list[float]] = {"images_per_s": [], "parent_mib": [], "worker_mib": []}
    for _ in range(repeats):
        start_up, _ = watched(task, single, 1)
        seconds, peak = watched(task, folder, count)
        say(f"{count} images: {seconds:.1f} s, {peak}")
        turns["images_per_s"].append((count - 1) / (seconds - start_up))
        turns["parent_mib"].append(peak["parent"])
        turns["worker_mib"].append(peak["worker"])
    return {**{key: round(statistics.median(v), 2) for key, v in turns.items()}, "repeats": turns}


def watched(task: Task, folder: Path, count: int) -> tuple[float, dict[str, float]]:
    """Seconds of one whole process, and the most memory that it and its worker held, MiB."""
    out = folder.with_suffix(".csv")
    options = ("--overwrite", "--precision", task.precision, "--force")
    command = Command(folder, out, task.engine, task.scratch / "said", options)
    started = time.perf_counter()
    # `peaks` looks every 50 ms, so that is what the seconds are good to.
    found = peaks(command)
    seconds = time.perf_counter() - started
    failed = sum(row["status"] != "ok" for row in rows_of_file(out))
    if failed:
        raise SystemExit(f"{failed} of {count} rows failed: see {out}")
    return seconds, found


def of_size(task: Task, found: list[Path], size: str, count: int, repeats: int) -> dict[str, Any]:
    """Decoding, inference and the run at one size of image."""
    width, height = (int(side) for side in size.split("x"))
    root = task.scratch / f"size_{size}"
    larger = resized(found[:count], root.with_name(f"{root.name}_made"), width, height)
    of = replace(task, root=root, names=filled(root, larger, count))
    say(f"{size}: {count} images")
    turns = take_turns(entries(STAGES, [task.precision], of), count, repeats)
    rates = {name: found.best for name, found in turns.found.items()}
    inference, decode = rates[f"own_inference_{task.precision}"], rates["own_decode"]
    shares = [i / (i + d) for i, d in zip(inference, decode, strict=True)]
    return {
        **described(larger),
        "images_per_s": {name: round(statistics.median(r), 2) for name, r in rates.items()},
        "decode_share_of_time": round(statistics.median(shares), 4),
        "bound_by": "decode" if statistics.median(shares) > 0.5 else "inference",
        "repeats": rates,
    }


if __name__ == "__main__":
    main()
