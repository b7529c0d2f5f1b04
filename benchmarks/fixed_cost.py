"""How long does `hambatch score` take before its first row: process start to end, one image?

The wall time of whole processes that score a folder of one image: interpreter, imports,
loading and compiling the engine, sentinels, table and record. That is a little more
than the time to the first row. Precisions and caches take turns; the first turn is
dropped (the system's file cache is warm in all that count). Where the command keeps
something from run to run, name what tells it where, with {cache} for the folder::

    python benchmarks/fixed_cost.py --out result.json --env XDG_CACHE_HOME={cache}

Then every run is made `cold` (a new, empty folder) and `warm` (the same folder again);
without {cache} in an --env or --arg it is made as it is, which is called `plain`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picture_folders import described, filled, pictures
from result import parser_of, publish

from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE

CACHE = "{cache}"


@dataclass(frozen=True)
class Case:
    """One way to start it; ``fresh`` empties what it keeps."""

    precision: str
    cache: str

    @property
    def fresh(self) -> bool:
        """Whether every run gets a new folder."""
        return self.cache == "cold"

    @property
    def name(self) -> str:
        """As it stands in the result."""
        return f"{self.precision}_{self.cache}"


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: a drawn one")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--precision", nargs="+", help="default: all that the engine has")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--arg", action="append", default=[], help="further argument of score")
    chosen = parser.parse_args()
    engine = load_engine(find_engine(chosen.engine).resolve())
    precisions = chosen.precision or [v.precision for v in engine.manifest.variants]
    caches = ["cold", "warm"] if CACHE in " ".join(chosen.env + chosen.arg) else ["plain"]
    cases = [Case(precision, cache) for precision in precisions for cache in caches]
    with tempfile.TemporaryDirectory(prefix="hambatch-fixed-cost-") as place:
        found = pictures(chosen.images, Path(place) / "drawn", 1)
        filled(Path(place) / "one", found, 1)
        runs = measure(Path(place), engine, cases, chosen)
        result = summary(runs, engine, chosen, described(found))
    publish(chosen.out, result, {key: result[key] for key in ("wall_s", "stages_s")})


def measure(
    place: Path, engine: Engine, cases: Sequence[Case], chosen: argparse.Namespace
) -> dict[str, list[dict[str, float]]]:
    """Let the cases take turns; the first turn also fills the folders of the warm ones."""
    runs: dict[str, list[dict[str, float]]] = {case.name: [] for case in cases}
    for repeat in range(chosen.repeats + 1):
        for case in cases:
            kept = place / (f"{case.name}_{repeat}" if case.fresh else case.name)
            kept.mkdir(exist_ok=True)
            found = one_run(place, engine, case, kept, chosen)
            if repeat:
                runs[case.name].append(found)
    return runs


def one_run(
    place: Path, engine: Engine, case: Case, kept: Path, chosen: argparse.Namespace
) -> dict[str, float]:
    """Seconds of one process: from outside, as its record says, and by stage."""
    out = place / "preds.csv"
    line = [sys.executable, "-m", "hambatch", "score", str(place / "one"), "--out", str(out)]
    line += [
        "--overwrite",
        "--engine",
        str(engine.folder),
        "--precision",
        case.precision,
        "--force",
    ]
    line += [arg.replace(CACHE, str(kept)) for arg in chosen.arg]
    extra = dict(pair.replace(CACHE, str(kept)).split("=", 1) for pair in chosen.env)
    # As where users run it: Python keeps the modules that it compiled.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    done = subprocess.run(line, env={**environment, **extra}, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode} of {' '.join(line)}:\n{done.stderr[-2000:]}")
    timing = json.loads(out.with_name(f"{out.name}.run.json").read_text())["timing"]
    # What the run's own clock does not see: the interpreter, imports, and the end of processes.
    around = {"run_s": timing["seconds"], "around_the_run_s": seconds - timing["seconds"]}
    return {"wall_s": seconds, **around, **timing["stages"]}


def summary(
    runs: dict[str, list[dict[str, float]]],
    engine: Engine,
    chosen: argparse.Namespace,
    pictured: dict[str, Any],
) -> dict[str, Any]:
    """Medians, and every run."""
    medians = {
        name: {key: round(statistics.median(r[key] for r in found), 3) for key in found[0]}
        for name, found in runs.items()
    }
    walls = {name: [run["wall_s"] for run in found] for name, found in runs.items()}
    return {
        "question": "how long does hambatch score take for one image, start of process to end?",
        **pictured,
        "wall_s": {name: stages["wall_s"] for name, stages in medians.items()},
        "wall_s_min_max": {n: [round(min(w), 3), round(max(w), 3)] for n, w in walls.items()},
        "stages_s": medians,
        "repeats": runs,
        "env": chosen.env,
        "arguments": chosen.arg,
        "engine_json_sha256": engine.manifest_sha256,
    }


if __name__ == "__main__":
    main()
