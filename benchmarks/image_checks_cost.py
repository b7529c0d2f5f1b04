"""What do the image checks cost? Whole processes of `hambatch score`, with and without limits.

    python benchmarks/image_checks_cost.py --images DIR --count 300 --turns 7 --out result.json

The engine is copied; one copy lacks ``image_checks.json``. Turns alternate, and the order within a
turn changes. The rate is the images of a run by the seconds of its record, start-up included;
``ratio`` is with checks to without, of each turn, its median and a 95 % interval by bootstrap of
turns. Both tables have the same probabilities.
"""

import csv
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from result import parser_of, publish

from hambatch.engines.loading import find_engine, write_manifest
from hambatch.engines.manifest import IMAGE_CHECKS, read_manifest

DRAWS, SEED = 10_000, 29


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of images")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--engine", default="three-sources-resnet50")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        engines = {"with": engine(chosen.engine, place / "with", keep=True)}
        engines["without"] = engine(chosen.engine, place / "without", keep=False)
        files = sorted(chosen.images.rglob("*.jpg"))[: chosen.count]
        listed = place / "images.csv"
        listed.write_text("image\n" + "".join(f"{path.resolve()}\n" for path in files))
        rates: dict[str, list[float]] = {which: [] for which in engines}
        tables: dict[str, list[str]] = {}
        for turn in range(chosen.turns + 1):
            order = sorted(engines, reverse=bool(turn % 2))
            for which in order:
                rate, tables[which] = run(place, listed, engines[which], chosen.precision)
                if turn:  # the first one compiles the graphs
                    rates[which].append(rate)
    ratios = np.array(rates["with"]) / np.array(rates["without"])
    drawn = np.random.default_rng(SEED).choice(ratios, (DRAWS, ratios.size))
    low, high = np.quantile(np.median(drawn, axis=1), (0.025, 0.975))
    found: dict[str, Any] = {
        "images": len(files),
        "precision": chosen.precision,
        "images_per_s": {which: np.round(values, 2).tolist() for which, values in rates.items()},
        "ratio": round(float(np.median(ratios)), 4),
        "ratio_interval": [round(float(low), 4), round(float(high), 4)],
        "same_probabilities": tables["with"] == tables["without"],
    }
    publish(chosen.out, {"question": "what do the image checks cost?", **found}, found)


def engine(name: str, folder: Path, *, keep: bool) -> Path:
    """Copy an engine, with its limits or without."""
    shutil.copytree(find_engine(name), folder)
    if not keep:
        (folder / IMAGE_CHECKS).unlink()
        write_manifest(folder, read_manifest(folder))
    return folder


def run(place: Path, listed: Path, engine: Path, precision: str) -> tuple[float, list[str]]:
    """Score the images; gives images/s and the probabilities."""
    out = place / "preds.csv"
    line = [sys.executable, "-m", "hambatch", "score", str(listed), "--out", str(out)]
    line += ["--engine", str(engine), "--precision", precision, "--overwrite", "--quiet"]
    subprocess.run(line, check=True)
    timing = json.loads(out.with_name(f"{out.name}.run.json").read_text())["timing"]
    with out.open(newline="") as stream:
        rows = [row["p_malignant"] + row["p_mel"] + row["p_nv"] for row in csv.DictReader(stream)]
    return timing["images"] / timing["seconds"], rows


if __name__ == "__main__":
    main()
