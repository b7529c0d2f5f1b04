"""What does the Python API cost, against `hambatch score`, for one image, and in memory?

Four questions. `folder`: whole processes, start to end, in turns: `hambatch score` into a table,
and a program whose Scorer yields the rows of the same folder; with the batch size of the Scorer and
with that of the command. Their rows have to be equal. `given`: the same images as bytes and arrays.
`one_image_ms`: one image in a Scorer whose engine is loaded. `many`: the most memory of the program
while a generator yields tiny images to an engine of almost no weights::

    python benchmarks/python_api.py --images DIR --out result.json

Without --images, pictures are drawn. Needs Linux, and for `many` the checkout's tests and onnx.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contenders.ratios import interval
from picture_folders import described, filled, pictures
from result import parser_of, publish

import hambatch
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import Manifest, Variant
from hambatch.engines.options import DEFAULT_ENGINE

ROWS = """
import sys, time, resource, hambatch
from pathlib import Path
kind, images, precision, batch_size, out = sys.argv[1:]

def given():
    import numpy
    from PIL import Image
    for path in sorted(Path(images).rglob("*.jpg")):
        yield path.read_bytes() if kind == "bytes" else numpy.asarray(Image.open(path))

with hambatch.Scorer(precision=precision, force=True, batch_size=int(batch_size)) as scorer:
    rows = scorer.score(images if kind == "folder" else given())
    with open(out, "w") as stream:
        for row in rows:
            print(row.image, row.status, row.p_mel, row.sha256, file=stream)
"""

MANY = """
import io, json, resource, sys, time, hambatch
import numpy
from PIL import Image
engine, count = sys.argv[1], int(sys.argv[2])
stream = io.BytesIO()
picture = numpy.random.default_rng(0).integers(0, 256, (32, 32, 3), numpy.uint8)
Image.fromarray(picture).save(stream, "JPEG")
drawn, ahead, steps, started = 0, 0, [], time.perf_counter()

def tiny():
    global drawn
    for drawn in range(1, count + 1):
        yield str(drawn), stream.getvalue()

with hambatch.Scorer(engine) as scorer:
    for number, row in enumerate(scorer.score(tiny()), 1):
        assert row.status == "ok" and row.image == str(number)
        ahead = max(ahead, drawn - number)
        if number in (count // 100, count // 10, count):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            steps.append({"images": number, "peak_mib": round(peak, 1)})
seconds = time.perf_counter() - started
print(json.dumps({"steps": steps, "most_drawn_ahead": ahead, "images_per_s": count / seconds}))
"""

SIDES = {"command": 64, "scorer_32": 32, "scorer_64": 64}
"""What takes turns, with its batch size."""

KINDS = ("path", "bytes", "array")


def main() -> None:
    """Measure, print and write."""
    chosen = parsed()
    with tempfile.TemporaryDirectory(prefix="hambatch-python-") as name:
        place = Path(name)
        found = pictures(chosen.images, place / "drawn", chosen.count)
        filled(place / "images", found, chosen.count)
        turns = measured(place, chosen)
        result = {
            "question": "what does the Python API cost, against hambatch score?",
            **described(found),
            "images": chosen.count,
            "precision": chosen.precision,
            "folder": folder_of(turns, chosen.count),
            "given": given_of(turns, chosen.count),
            "one_image_ms": one_image(found[0], chosen),
            "many": many(place, chosen.many) if chosen.many else None,
            "repeats": turns,
        }
    shown = {key: result[key] for key in ("folder", "given", "one_image_ms", "many")}
    publish(chosen.out, result, shown)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: drawn ones")
    parser.add_argument("--count", type=int, default=800, help="images of a turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--calls", type=int, default=100, help="of one image each, by kind")
    parser.add_argument("--many", type=int, default=1_000_000, help="tiny images; 0: none")
    return parser.parse_args()


def measured(place: Path, chosen: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of whole processes; the first turn warms the caches of the disk and of graphs."""
    turns: dict[str, list[float]] = {name: [] for name in (*SIDES, "bytes", "array")}
    for repeat in range(chosen.repeats + 1):
        # Each comes first as often as last.
        for side in [*turns][:: -1 if repeat % 2 else 1]:
            seconds = one_turn(side, place, chosen.precision)
            if repeat:
                turns[side].append(round(seconds, 3))
        refuse_other_rows(place, chosen.count)
    return turns


def one_turn(side: str, place: Path, precision: str) -> float:
    """Seconds of one process."""
    images, out = place / "images", place / f"{side}.out"
    if side == "command":
        line = ["-m", "hambatch", "score", images, "--out", place / "preds.csv", "--overwrite"]
        line += ["--precision", precision, "--force"]
    else:
        kind = "folder" if side in SIDES else side
        line = ["-c", ROWS, kind, images, precision, SIDES.get(side, 32), out]
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *map(str, line)], capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{side} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return seconds


def refuse_other_rows(place: Path, count: int) -> None:
    """Compare the rows of all ways, but for the pixels of arrays, which Pillow decoded."""
    table = hambatch.read_table(place / "preds.csv")
    wanted = [f"{row.image} {row.status} {row.p_mel} {row.sha256}" for row in table.itertuples()]
    for side in ("scorer_32", "scorer_64", "bytes", "array"):
        found = (place / f"{side}.out").read_text().splitlines()
        if side == "bytes":
            same = [line.partition(" ")[2] for line in found] == [
                line.partition(" ")[2] for line in wanted
            ]
        else:
            same = len(found) == count if side == "array" else found == wanted
        if not same:
            raise SystemExit(f"{side} has other rows than hambatch score")


def folder_of(turns: dict[str, list[float]], count: int) -> dict[str, Any]:
    """Rates, and the rate of a Scorer as a share of the command's, turn by turn."""
    rates = {side: round(count / statistics.median(turns[side]), 2) for side in SIDES}
    ratios = {
        side: interval([c / s for c, s in zip(turns["command"], turns[side], strict=True)])
        for side in SIDES
        if side != "command"
    }
    return {"images_per_s_with_start": rates, "rate_to_command": ratios}


def given_of(turns: dict[str, list[float]], count: int) -> dict[str, float]:
    """Rates of images that a program gives; arrays are decoded by Pillow in the program."""
    return {side: round(count / statistics.median(turns[side]), 2) for side in ("bytes", "array")}


def one_image(path: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a call on one image, for each kind, once the engine is loaded."""
    import numpy
    from PIL import Image

    with Image.open(path) as image:
        pixels = numpy.asarray(image.convert("RGB"))
    images: dict[str, Any] = {"path": path, "bytes": path.read_bytes(), "array": pixels}
    found: dict[str, Any] = {}
    with hambatch.Scorer(DEFAULT_ENGINE, precision=chosen.precision, force=True) as scorer:
        next(scorer.score([path]))
        for kind in KINDS:
            times = []
            for _ in range(chosen.calls):
                started = time.perf_counter()
                assert next(scorer.score([images[kind]])).status == "ok"
                times.append(1000 * (time.perf_counter() - started))
            tenths = statistics.quantiles(times, n=10)
            found[kind] = {"p50": round(tenths[4], 1), "p90": round(tenths[8], 1)}
    return found


def many(place: Path, count: int) -> dict[str, Any]:
    """Peak of the program's memory after a hundredth, a tenth and all of the images."""
    from tests.conftest import write_tiny_graph

    engine = place / "tiny"
    engine.mkdir()
    write_tiny_graph(engine / "model.onnx")
    write_manifest(
        engine, Manifest("tiny", "1", files={}, variants=(Variant("fp32", "model.onnx"),))
    )
    done = subprocess.run(
        [sys.executable, "-c", MANY, str(engine), str(count)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"the generator ended with {done.returncode}:\n{done.stderr[-2000:]}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


if __name__ == "__main__":
    main()
