"""How many sentinels does a run score, and what share of its inference are they?

Whole processes of `hambatch score` on two streams: one with an empty cache (cold), then one that
finds what the first has left (warm). The count is the one of the run's record::

    python benchmarks/sentinel_cost.py --images 50 500 --against CHECKOUT --out result.json

``--against`` is an older checkout, run with the same interpreter.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

HERE = Path(__file__).resolve().parent.parent

STREAMS = 2


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--against", type=Path, help="an older checkout, measured as well")
    chosen = parser.parse_args()
    checkouts = {"after": HERE} | ({"before": chosen.against.resolve()} if chosen.against else {})
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        for images in chosen.images:
            source = Path(place) / f"images_{images}"
            run(HERE, Path(place), "samples", source, "--count", images)
            for name, checkout in checkouts.items():
                cache = Path(place) / f"cache_{name}_{images}"
                found.setdefault(str(images), {})[name] = {
                    state: sentinels(checkout, cache, source, cache.with_suffix(f".{state}.csv"))
                    for state in ("cold", "warm")
                }
    question = "how many sentinels does a run score, and what share of its inference are they?"
    publish(chosen.out, {"question": question, "streams": STREAMS, "sentinels": found}, found)


def sentinels(checkout: Path, cache: Path, source: Path, out: Path) -> dict[str, float]:
    """Score a folder; gives the number of sentinels, and their share of all that was scored."""
    run(checkout, cache, "score", source, "--out", out, "--device", "cpu", "--streams", STREAMS)
    record = json.loads(out.with_name(f"{out.name}.run.json").read_text())
    checked, images = record["sentinels"]["checked"], record["counts"]["scored"]
    return {"sentinels": checked, "share_of_inference": round(checked / (checked + images), 4)}


def run(checkout: Path, cache: Path, *words: object) -> None:
    """Run hambatch of a checkout with a cache of its own."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "XDG_CACHE_HOME": str(cache)}
    line = [sys.executable, "-m", "hambatch", *map(str, words), "--quiet"]
    subprocess.run(line, check=True, env=environment, cwd=checkout)


if __name__ == "__main__":
    main()
