"""Is one installed version of hambatch slower than another? Whole processes, taking turns.

    python tools/same_speed.py --before PYTHON_OLD --after PYTHON_NEW --images DIR --out result.json

In every turn each version scores one image and then all of them, old and new first in turn. The
rate is that of the further images; the fixed cost is the time of a single one. Ratios are new to
old within a turn; above 1 is faster for the rate, slower for the fixed cost.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from scipy.stats import t as student_t


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("before", "after"):
        parser.add_argument(f"--{name}", required=True, help="a Python with that version")
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        turns = measure(options, Path(folder))
    result = {
        "question": "same_speed",
        "processor": processor(),
        "images": options.count,
        "rate_ratio": interval([turn["rate"][1] / turn["rate"][0] for turn in turns]),
        "fixed_cost_ratio": interval([turn["fixed_s"][1] / turn["fixed_s"][0] for turn in turns]),
        "rate_images_per_s": medians(turns, "rate"),
        "fixed_cost_s": medians(turns, "fixed_s"),
        "turns": turns,
    }
    print(json.dumps({name: value for name, value in result.items() if name != "turns"}, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(options: argparse.Namespace, place: Path) -> list[dict[str, list[float]]]:
    """Give each turn's rate and fixed cost, the old version's first; a warm-up is dropped."""
    files = sorted(options.images.rglob("*.jpg"))[: options.count]
    for name, chosen in (("one", files[:1]), ("all", files)):
        (place / name).mkdir()
        for file in chosen:
            shutil.copy(file, place / name)
    pythons = (options.before, options.after)
    turns = []
    for turn in range(options.turns + 1):
        rate, fixed = [0.0, 0.0], [0.0, 0.0]
        for k in (0, 1) if turn % 2 else (1, 0):
            fixed[k] = seconds(pythons[k], place, "one", k)
            rate[k] = (len(files) - 1) / (seconds(pythons[k], place, "all", k) - fixed[k])
        turns += [{"rate": rate, "fixed_s": fixed}] if turn else []
    return turns


def seconds(python: str, place: Path, source: str, version: int) -> float:
    """Time one process of `hambatch score`."""
    env = {**os.environ, "XDG_CACHE_HOME": str(place / f"cache_{version}")}
    command = [python, "-m", "hambatch", "score", source, "--out", "preds.csv", "--overwrite"]
    started = time.perf_counter()
    subprocess.run(command, cwd=place, env=env, check=True, capture_output=True)  # noqa: S603
    return time.perf_counter() - started


def interval(ratios: list[float]) -> dict[str, float]:
    """Mean of paired ratios with its 95 % interval by Student's t."""
    mean, spread = statistics.mean(ratios), statistics.stdev(ratios)
    half = float(student_t.ppf(0.975, len(ratios) - 1)) * spread / len(ratios) ** 0.5
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def medians(turns: list[dict[str, list[float]]], name: str) -> dict[str, float]:
    """The two versions' medians."""
    old, new = (statistics.median(turn[name][k] for turn in turns) for k in (0, 1))
    return {"before": round(old, 3), "after": round(new, 3)}


def processor() -> str:
    """Name the processor, as Linux does."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "?")
    flags = next((x.partition(":")[2].split() for x in lines if x.startswith("flags")), [])
    wanted = ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8")
    return " ".join([f"{os.cpu_count()} cores of {name}", *(f for f in wanted if f in flags)])


if __name__ == "__main__":
    main()
