"""How fast is hambatch on a GPU, and does it say there what it says on the CPU?

One command on a machine with a card and the extra ``gpu``, in less than 8 minutes::

    python benchmarks/gpu.py --out result.json

writes result.json and, beside it, result.md: one page with the tables and the verdict. It
draws 600x450 JPEGs of the size of original ones, and then runs commands of hambatch, each
as anybody may run it:

end to end        `bench score` in each precision: decode only, engine only, the whole run, and
                  its share of min(decode only, engine only). The goal is 90 %
parity            `parity` in each: the GPU's path against the CPU's, within its tolerance or not
decoding          `bench pipeline` over hw_decoder_load, then over group sizes
request size      `bench engine` over images a request, in FP16

Plans that are missing are built on the way, which takes most of a first run; they are kept, so
a second run measures more. What there was no time for is left out, and named.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gpu_page import as_page, goal, verdict
from gpu_steps import DONE, Chosen, run_all, steps_of
from picture_folders import described, originals

from hambatch.bench.machine import gpu_facts, machine_facts, measured_gpu
from hambatch.bench.result import check_outputs
from hambatch.engines.backend_names import FP16, FP32, INT8
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.errors import HambatchError
from hambatch.scoring.plan import ON_GPU
from hambatch.scoring.record import utc_now
from hambatch.system.files import write_json
from hambatch.system.packages import library_versions

SECONDS = 450.0
"""Half a minute less than 8 minutes: for drawing, and for what is late."""


def main() -> None:
    """Measure, print and write."""
    chosen = parsed()
    if chosen.out.suffix == ".md":
        raise SystemExit(f"--out {chosen.out} is where the page goes; give a name with .json")
    try:
        found = result_of(chosen)
    except HambatchError as error:
        raise SystemExit(str(error)) from error
    write_json(chosen.out, found)
    chosen.out.with_suffix(".md").write_text(as_page(found))
    print(f"{found['verdict']}\nWrote {chosen.out} and {chosen.out.with_suffix('.md')}")
    failed = [step for step in found["steps"] if step["state"] not in (DONE, "left out")]
    for step in failed:
        print(f"{step['state']}: {step['command']}", *step["said"], sep="\n", file=sys.stderr)
    raise SystemExit(1 if failed or found["goal"]["met"] is None else 0)


def result_of(chosen: argparse.Namespace) -> dict[str, Any]:
    """Draw the pictures, run the steps, and put together what they found.

    Raises
    ------
    HambatchError
        If there is no GPU that can be used, or no engine, or the result could not be written.
    """
    check_outputs(chosen.out, None)
    engine = load_engine(find_engine(chosen.engine))
    gpu = measured_gpu(chosen.device, ON_GPU)
    number = gpu.ordinal if gpu else 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hambatch-gpu-") as place:
        folder = Path(place) / "images"
        pictures = originals(folder, chosen.pictures)
        left = chosen.seconds - (time.monotonic() - began)
        steps = run_all(steps_of(wanted(chosen, engine, number)), folder, left)
        images = described(pictures)
    return {
        "question": "how fast is hambatch on a GPU, and does it agree with the CPU?",
        "verdict": verdict(steps),
        "goal": goal(steps),
        "measured_utc": utc_now(),
        "seconds": round(time.monotonic() - began, 1),
        "seconds_allowed": chosen.seconds,
        "machine": {**machine_facts(), **gpu_facts(number, engine)},
        "images": images,
        "left_out": [step["command"] for step in steps if step["state"] == "left out"],
        "steps": steps,
        "engine_json_sha256": engine.manifest_sha256,
        "versions": library_versions(),
    }


def wanted(chosen: argparse.Namespace, engine: Engine, number: int) -> Chosen:
    """Say what is measured on the GPU of that number."""
    return Chosen(
        engine=chosen.engine,
        gpu=number,
        precisions=chosen.precision or precisions_of(engine),
        loads=chosen.loads,
        groups=chosen.groups,
        sizes=chosen.sizes,
        count=chosen.count,
        repeats=chosen.repeats,
    )


def precisions_of(engine: Engine) -> list[str]:
    """Give those that a GPU runs of this engine; FP16 is made of the FP32 graph."""
    graphs = {variant.precision for variant in engine.manifest.variants}
    return [FP32, FP16, *({INT8} & graphs)]


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON; the page goes beside it")
    parser.add_argument("--device", default="gpu", help="gpu, or the number of a GPU")
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--precision", nargs="+", help="default: all that a GPU runs")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all of it")
    parser.add_argument("--count", type=int, default=8192, help="images a repeat")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=64, help="different images to draw")
    loads, groups, sizes = [1.0, 0.9, 0.75, 0.65, 0.5, 0.0], [32, 64, 128, 256], [128, 32, 16, 1]
    parser.add_argument("--loads", type=float, nargs="+", default=loads)
    parser.add_argument("--groups", type=int, nargs="+", default=groups)
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes)
    return parser.parse_args()


if __name__ == "__main__":
    main()
