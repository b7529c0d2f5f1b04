"""Does memory grow with the number of images: peak RSS at 10,000 and at 200,000?

Both folders are hard links to a few hundred small JPEGs. `hambatch score` runs as its
users start it, with a tiny engine through OpenVINO; the kernel keeps the peak of every
process (VmHWM), which is read until the process is gone. Exit code 1 if the peak of the
parent or of its worker is more than 1.10 times as high with the larger folder::

    python benchmarks/memory.py --out benchmarks/results/memory.json

Needs Linux, the checkout's tests and `pip install '.[test]'`.
"""

import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from picture_folders import filled
from result import parser_of, publish

from tests.faults.command import Command
from tests.faults.corpus import generated_jpegs
from tests.faults.processes import session
from tests.faults.soft_engine import write_soft_engine

PICTURES = 300
MOST = 1.10
POLL_S = 0.05

Peaks = dict[str, float]
"""MiB, of the parent and of the largest other process: the worker."""


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--small", type=int, default=10_000, help="images")
    parser.add_argument("--large", type=int, default=200_000, help="images")
    parser.add_argument("--repeats", type=int, default=2)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hambatch-memory-") as place:
        result = measure(Path(place), (chosen.small, chosen.large), chosen.repeats)
    publish(chosen.out, result, {k: result[k] for k in ("peak_rss_mib", "ratios")})
    sys.exit(max(result["ratios"].values()) > MOST)


def measure(place: Path, counts: tuple[int, int], repeats: int) -> dict[str, Any]:
    """Let both sizes take turns."""
    engine = write_soft_engine(place / "engine")
    pictures = write_pictures(place / "pictures")
    folders = {count: place / f"{count}" for count in counts}
    for count, folder in folders.items():
        filled(folder, pictures, count)
    found: dict[int, list[Peaks]] = {count: [] for count in counts}
    for repeat in range(repeats):
        for count, folder in folders.items():
            out = place / f"{count}_{repeat}.csv"
            found[count].append(peaks(Command(folder, out, engine, place / "scratch")))
    medians = {
        count: {who: statistics.median(p[who] for p in each) for who in each[0]}
        for count, each in found.items()
    }
    small, large = (medians[count] for count in counts)
    return {
        "question": "does memory grow with the number of images?",
        "peak_rss_mib": {str(count): medians[count] for count in counts},
        "ratios": {who: round(large[who] / small[who], 4) for who in small},
        "repeats": {str(count): each for count, each in found.items()},
    }


def write_pictures(folder: Path) -> list[Path]:
    """Write the JPEGs that everything else links to."""
    folder.mkdir()
    paths = [folder / f"{k}.jpg" for k in range(PICTURES)]
    for path, content in zip(paths, generated_jpegs(PICTURES, 0, 120, 90), strict=True):
        path.write_bytes(content)
    return paths


def peaks(command: Command) -> Peaks:
    """Run once and watch."""
    process = command.start()
    found: dict[int, float] = {}
    while process.poll() is None:
        for seen in session(process.pid):
            found[seen.pid] = max(found.get(seen.pid, 0.0), peak_mib(seen.pid))
        time.sleep(POLL_S)
    command.finish(process)
    parent = found.pop(process.pid)
    return {"parent": round(parent, 1), "worker": round(max(found.values()), 1)}


def peak_mib(pid: int) -> float:
    """The highest resident size so far; 0 if the process is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
