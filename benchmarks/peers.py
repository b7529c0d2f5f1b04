"""How fast is `hambatch score` next to what the cores allow, and next to its peers?

They take turns on the same files and cores; the first turn warms up and is dropped, and
each repeat begins with another. What has settings is swept once before, and its best
setting (of the ceilings: the best two) runs in every repeat.

score             hambatch's marginal rate: a run over all pictures less one over a quarter of
                  them; sentinels among them count as cost and not as images
command           whole `hambatch score` processes, less one that scores a single image
inference         OpenVINO's own benchmark_app on the engine's ONNX file and, for INT8, on the
                  graph that hambatch makes of it
decode            a plain DALI pipeline: fn.readers.file, decode, resize
own_inference, own_decode    the same two as hambatch does them
keras             `model.predict` over a `tf.data` pipeline of the folder
pytorch_eager     torchvision's ResNet50 over a DataLoader of Pillow pictures
pytorch_untuned   the same with batches of 32 and two processes that load, not swept
pytorch_compiled  the same by torch.compile, or traced and frozen
onnxruntime       the engine's ONNX file, decoded by Pillow in threads

Decoding and inference share the cores, so the ceiling of a run is
1 / (1/decode + 1/inference). Peers are no dependency of hambatch: see
requirements-peers.txt. One JSON file holds every repeat::

    python benchmarks/peers.py --images DIR --count 1600 --repeats 5 --out result.json

Without --images, 600x450 JPEGs are drawn. Fewer images than --count are repeated.
"""

import argparse
import statistics
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from contenders import CEILINGS, CONTENDERS
from contenders.ratios import ceilings, ratios
from contenders.task import Task
from contenders.turns import Turns, take_turns
from picture_folders import described, filled, pictures
from result import parser_of, publish

from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.system.cpu import available_cores

PEER_LIBRARIES = ("torch", "torchvision", "onnxruntime")


def main() -> None:
    """Measure, print and write."""
    chosen = parsed()
    with tempfile.TemporaryDirectory(prefix="hambatch-peers-", dir=chosen.scratch) as place:
        found = pictures(chosen.images, Path(place) / "drawn", chosen.count)
        names = filled(Path(place) / "images", found, chosen.count)
        engine = find_engine(chosen.engine).resolve()
        manifest = load_engine(engine).manifest
        precisions = chosen.precision or [variant.precision for variant in manifest.variants]
        root, cores = Path(place) / "images", available_cores()
        task = Task(root, names, engine, precisions[0], cores, Path(place))
        turns = take_turns(chosen.only, precisions, task, chosen.sweep_count, chosen.repeats)
        result = {
            "question": "how fast is hambatch score next to its ceiling and to its peers?",
            "images": len(names),
            **described(found),
            **summary(turns, precisions),
            "engine_json_sha256": load_engine(engine).manifest_sha256,
            "versions": peer_versions(),
        }
    shown = {name: result[name] for name in ("images_per_s", "ceilings", "ratios")}
    publish(chosen.out, result, shown)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: drawn ones")
    parser.add_argument("--count", type=int, default=400, help="images a turn")
    parser.add_argument("--sweep-count", type=int, default=96, help="images a setting tried")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--precision", nargs="+", help="default: all that the engine has")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--scratch", type=Path, help="default: the system's temporary folder")
    return parser.parse_args()


def summary(turns: Turns, precisions: list[str]) -> dict[str, Any]:
    """Every repeat, the medians, and the ratios within the repeats."""
    rates = {name: found.best for name, found in turns.found.items()}
    bounded = [p for p in precisions if {"decode", f"{CEILINGS[0]}_{p}"} <= rates.keys()]
    found: dict[str, Any] = {}
    for precision in precisions:
        found.update(ratios(rates, precision))
    return {
        "images_per_s": {name: round(statistics.median(r), 2) for name, r in rates.items()},
        "ceilings": {p: round(statistics.median(ceilings(rates, p)), 2) for p in bounded},
        "ratios": found,
        "repeats": rates,
        "contenders": {name: one.described() for name, one in turns.found.items()},
        "idle_cpu_share": round(turns.idle_cpu_share, 4),
    }


def peer_versions() -> dict[str, str]:
    """Versions of what only peers use."""
    found = {}
    for name in PEER_LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
