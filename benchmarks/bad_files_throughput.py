"""What do bad files cost the good ones: images/s with 0 %, 1 % and 10 % of the files bad?

Every folder holds the same good images; the bad files come on top, five kinds in turn
(cut off, empty, text, damaged entropy data, wrong header), so that the share of all
files is as named. The rate counts scored images only, of a whole `hambatch score` process
less one that scores a single image: start-up is left out, and a file that fails is
nothing but what it costs. Shares take turns; the first turn warms up and is dropped::

    python benchmarks/bad_files_throughput.py --images DIR --out result.json

Without --images, 600x450 JPEGs are generated. Needs the checkout's tests and
`pip install '.[test]'`.
"""

import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

from hambatch.engines.loading import find_engine
from hambatch.engines.options import DEFAULT_ENGINE
from tests.faults import byte_damage, header_edits
from tests.faults.command import Command, rows_of_file
from tests.faults.corpus import found_jpegs, generated_jpegs, scattered, write_folder

SHARES = (0.0, 0.01, 0.1)

Rng = np.random.Generator

BAD: dict[str, Callable[[Rng, bytes], bytes]] = {
    "cut_off": lambda rng, content: byte_damage.cut(rng, content, content),
    "empty": lambda rng, content: b"",
    "text": lambda rng, content: b"not an image, whatever its name says\n",
    "damaged_entropy": lambda rng, content: byte_damage.entropy_bits(rng, content, content),
    "wrong_header": lambda rng, content: header_edits.components(rng, content, content),
}


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: generated ones")
    parser.add_argument("--count", type=int, default=400, help="good images in every folder")
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    if chosen.images:
        goods = found_jpegs(chosen.images, chosen.count, 0)
    else:
        goods = generated_jpegs(chosen.count, 0, 600, 450)
    with tempfile.TemporaryDirectory(prefix="hambatch-bad-files-") as place:
        result = measure(Path(place), goods, chosen.repeats)
    publish(chosen.out, result, {k: result[k] for k in ("scored_images_per_s", "ratio_to_none")})


def measure(place: Path, goods: list[bytes], repeats: int) -> dict[str, object]:
    """Let the shares take turns, each turn with its own start-up."""
    write_folder(place / "single", {"one.jpg": goods[0]})
    folders = {share: write_share(place, goods, share) for share in SHARES}
    rates: dict[float, list[float]] = {share: [] for share in SHARES}
    outcomes: dict[str, dict[str, int]] = {}
    for repeat in range(repeats + 1):
        startup_s, _ = timed(place / "single", place / f"single{repeat}.csv")
        for share, folder in folders.items():
            seconds, outcomes[str(share)] = timed(folder, place / f"{share}_{repeat}.csv")
            if repeat:
                scored = outcomes[str(share)]["ok"]
                rates[share].append((scored - 1) / (seconds - startup_s))
    ratios = {
        share: [with_bad / none for with_bad, none in zip(rates[share], rates[0.0], strict=True)]
        for share in SHARES[1:]
    }
    return {
        "question": "what do bad files cost the good ones?",
        "good_images": len(goods),
        "counted": "scored images per second, start-up excluded; bad files come on top",
        "statuses": outcomes,
        "repeats": {str(share): found for share, found in rates.items()},
        "scored_images_per_s": {str(s): round(statistics.median(r), 2) for s, r in rates.items()},
        "ratio_to_none": {
            str(s): {
                "median": round(statistics.median(r), 4),
                "min_max": [round(min(r), 4), round(max(r), 4)],
            }
            for s, r in ratios.items()
        },
    }


def write_share(place: Path, goods: list[bytes], share: float) -> Path:
    """Write all good images and so many bad files that they are ``share`` of all."""
    files = {scattered(f"good {k}"): content for k, content in enumerate(goods)}
    for k in range(round(len(goods) * share / (1 - share))):
        make = list(BAD.values())[k % len(BAD)]
        files[scattered(f"bad {k}")] = make(np.random.default_rng(k), goods[k])
    return write_folder(place / f"share{share}", files)


def timed(folder: Path, out: Path) -> tuple[float, dict[str, int]]:
    """Seconds of one whole process, and how many rows of each status it wrote."""
    command = Command(folder, out, find_engine(DEFAULT_ENGINE), out.with_suffix(".scratch"))
    started = time.perf_counter()
    command.finish()
    seconds = time.perf_counter() - started
    return seconds, dict(Counter(row["status"] for row in rows_of_file(out)))


if __name__ == "__main__":
    main()
