"""How fast is `hambatch score` next to what the cores allow, to its peers and to itself before?

They take turns on the same files and cores; the first turn warms up and is dropped, and
each repeat begins with another. What has settings is swept once before, and its best
setting (of the ceilings: the best two) runs in every repeat.

score             hambatch's marginal rate: a run over all pictures less one over a quarter of
                  them; sentinels among them count as cost and not as images
command           whole `hambatch score` processes, less one that scores a single image
inference         OpenVINO's own benchmark_app on the engine's ONNX file and, for INT8, on the
                  graph that hambatch makes of it; in FP32, and for BF16 and INT8-BF16 in
                  benchmark_app's own default precision, which has to be BF16
decode            a plain DALI pipeline: fn.readers.file, decode, resize
own_inference, own_decode    the same two as hambatch does them
keras             `model.predict` over a `tf.data` pipeline of the folder
pytorch_eager     torchvision's ResNet50 over a DataLoader of Pillow pictures
pytorch_untuned   the same with batches of 32 and two processes that load, not swept
pytorch_compiled  the same by torch.compile, or traced and frozen
pytorch_eager_bf16, pytorch_compiled_bf16    both under autocast to bfloat16
onnxruntime       the engine's ONNX file, decoded by Pillow in threads
before, after     `command` of another installed version with an engine of its own, and of the
                  present one with that engine, in the precision that each takes by itself

The first four, and own_inference, run in every precision that this processor computes.

Decoding and inference share the cores, so the ceiling of a run is
1 / (1/decode + 1/inference), by benchmark_app in the run's precision. The fastest ceiling is by
the fastest inference of each repeat, hambatch's own or benchmark_app's, in any precision that
hambatch would take here without --force. Joules are those of the processor's packages, where the
machine counts them. Peers are no dependency of hambatch: see requirements-peers.txt. One JSON
file holds every repeat::

    python benchmarks/peers.py --images DIR --count 1600 --repeats 5 --out result.json

Without --images, 600x450 JPEGs are drawn. Fewer images than --count are repeated. With
--before PYTHON ENGINE_DIR, that Python's hambatch takes part.
"""

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from contenders import AFTER, BEFORE, BFLOAT16, CONTENDERS
from contenders.installed import installation
from contenders.meter import energy_counted
from contenders.ratios import (
    ceilings,
    fastest_ceilings,
    fastest_inference,
    has_ceiling,
    of_before,
    ratios,
)
from contenders.task import Task
from contenders.turns import Entry, Turns, entries, take_turns
from picture_folders import described, filled, pictures
from result import parser_of, publish

from hambatch.engines.backend_names import AUTO, BACKEND_OF_GATES, FP32, OF_BACKEND
from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.manifest import Manifest, read_manifest
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.precision import ALLOWED, Choice, cheaper_here, choose_precision
from hambatch.system.cpu import available_cores, multiplies_bfloat16

PEER_LIBRARIES = ("torch", "torchvision", "onnxruntime")

SHOWN = ("images_per_s", "ceilings", "fastest_ceiling", "auto", "ratios", "took", "energy")


def main() -> None:
    """Measure, print and write."""
    chosen = parsed()
    other = {BEFORE: installation(chosen.before[0])} if chosen.before else {}
    with tempfile.TemporaryDirectory(prefix="hambatch-peers-", dir=chosen.scratch) as place:
        found = pictures(chosen.images, Path(place) / "drawn", chosen.count)
        names = filled(Path(place) / "images", found, chosen.count)
        engine = load_engine(find_engine(chosen.engine).resolve())
        choices = choices_of(engine.manifest)
        precisions = precisions_of(chosen.precision, choices)
        root, cores = Path(place) / "images", available_cores()
        task = Task(root, names, engine.folder, precisions[0], cores, Path(place))
        both = versions_of(chosen.before, chosen.after_engine, task)
        taking_part = [*entries(chosen.only, precisions, task), *both]
        turns = take_turns(taking_part, chosen.sweep_count, chosen.repeats)
        result = {
            "question": "how fast is hambatch score next to its ceiling and to its peers?",
            "images": len(names),
            **described(found),
            **summary(turns, precisions, choices),
            "engine": engine.manifest.name,
            "engine_json_sha256": engine.manifest_sha256,
            **other,
            "versions": peer_versions(),
        }
    publish(chosen.out, result, {name: result[name] for name in SHOWN})


def parsed() -> argparse.Namespace:
    """Read the command line."""
    usual = [name for name in CONTENDERS if name not in BFLOAT16 or multiplies_bfloat16()]
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: drawn ones")
    parser.add_argument("--count", type=int, default=400, help="images a turn")
    parser.add_argument("--sweep-count", type=int, default=96, help="images a setting tried")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--precision", nargs="+", help="default: all that run here")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=usual)
    pair = ("PYTHON", "ENGINE_DIR")
    parser.add_argument("--before", nargs=2, metavar=pair, help="another installed version")
    same = "that engine with gates that the other version cannot read; default: as it is"
    parser.add_argument("--after-engine", type=Path, help=same)
    parser.add_argument("--scratch", type=Path, help="default: the system's temporary folder")
    chosen = parser.parse_args()
    if chosen.before:
        # Its processes run in another folder; a resolved link would leave the environment.
        chosen.before[0] = os.path.abspath(shutil.which(chosen.before[0]) or chosen.before[0])
    return chosen


def choices_of(manifest: Manifest) -> dict[str, Choice]:
    """Give what hambatch takes by itself, and for each precision whether it would run, and why."""
    here = {FP32, *cheaper_here(manifest)}
    wanted = [AUTO, *(name for name in OF_BACKEND[BACKEND_OF_GATES] if name in here)]
    return {
        name: choose_precision(manifest, BACKEND_OF_GATES, name, force=name != AUTO)
        for name in wanted
    }


def precisions_of(chosen: list[str] | None, choices: Mapping[str, Choice]) -> list[str]:
    """Give the chosen precisions, or all that run here."""
    here = [name for name in choices if name != AUTO]
    if chosen and (missing := set(chosen) - set(here)):
        raise SystemExit(
            f"{', '.join(sorted(missing))}: not of this engine on this processor\n"
            f"Next: --precision with some of {' '.join(here)}"
        )
    return chosen or here


def versions_of(before: list[str] | None, after: Path | None, task: Task) -> list[Entry]:
    """Let the other version take part, and the present one with the graphs of its engine."""
    if not before:
        return []
    python, engine = before[0], Path(before[1]).resolve()
    same = after.resolve() if after else engine
    if read_manifest(same).graphs != read_manifest(engine).graphs:
        raise SystemExit(f"{same} has other graphs than {engine}\nNext: leave --after-engine out")
    command, auto = CONTENDERS["command"], replace(task, precision=AUTO)
    old = Entry(BEFORE, command, replace(auto, python=python, engine=engine))
    return [old, Entry(AFTER, command, replace(auto, engine=same))]


def summary(turns: Turns, precisions: list[str], choices: Mapping[str, Choice]) -> dict[str, Any]:
    """Every repeat, the medians, and the ratios within the repeats."""
    rates = {name: found.best for name, found in turns.found.items()}
    joules = {name: found.images_per_joule for name, found in turns.found.items()}
    allowed = [p for p in precisions if choices[p].used == FP32 or choices[p].gate in ALLOWED]
    fastest = fastest_ceilings(rates, allowed)
    found: dict[str, Any] = {}
    for precision in precisions:
        found |= ratios(rates, precision, allowed)
    bounded = [p for p in precisions if has_ceiling(rates, p)]
    return {
        "images_per_s": medians(rates),
        "ceilings": medians({p: ceilings(rates, p) for p in bounded}),
        "fastest_ceiling": {
            **medians({"images_per_s": fastest} if fastest else {}),
            "inference_by": fastest_inference(rates, allowed),
        },
        "auto": choices[AUTO].used,
        "precisions": {p: {"gate": choices[p].gate, "why": choices[p].why} for p in precisions},
        "ratios": found | ({AFTER: after} if (after := of_before(rates, AFTER)) else {}),
        "took": {name: one.took for name, one in turns.found.items() if one.took},
        "energy": energy_counted(),
        "images_per_joule": medians({n: each for n, each in joules.items() if each}, 4),
        "repeats": rates,
        "contenders": {name: one.described() for name, one in turns.found.items()},
        "idle_cpu_share": round(turns.idle_cpu_share, 4),
    }


def medians(of: Mapping[str, list[float]], digits: int = 2) -> dict[str, float]:
    """Of every list, rounded."""
    return {name: round(statistics.median(values), digits) for name, values in of.items()}


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
