"""OpenVINO's own `benchmark_app` on the engine's graph: what inference can do.

On the ONNX file as it is, and, for INT8, also on the graph that hambatch makes of it before it
compiles, saved as OpenVINO's own format: the ceiling is that of the faster one. FP32 and INT8 are
run with `-infer_precision f32`. BF16 and INT8-BF16 are the FP32 and the INT8 graph in
`benchmark_app`'s own default precision, without that option; it prints which one it took.
"""

import json
import re
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from contenders.meter import Run, Spent
from contenders.task import SIDE, Setting, Task
from hambatch.backends.openvino_graph import with_unsigned_activations
from hambatch.engines.backend_names import INT8, INT8_BF16, graph_precision, in_bfloat16
from hambatch.engines.manifest import read_manifest

BATCHES = (1, 4, 8, 16)

LEAST_ITERATIONS = 4

TOOK = re.compile(r"INFERENCE_PRECISION_HINT: <Type: '(\w+)'>")
"""A line of what it prints about the compiled graph."""

# The unchanged INT8 file answered one class for all images in BF16: no ceiling for anything.
GRAPHS = {INT8: ("file", "rewritten"), INT8_BF16: ("rewritten",)}


def settings(task: Task) -> list[Setting]:
    """One stream or one a core, and what OpenVINO chooses for throughput."""
    streams = [{"hint": "none", "streams": n} for n in sorted({1, task.cores})]
    hows = [*streams, {"hint": "throughput"}]
    return [
        {**how, "batch": batch, "graph": graph}
        for graph in GRAPHS.get(task.precision, ("file",))
        for how in hows
        for batch in BATCHES
    ]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Run it on as many random images as there are pictures; the seconds are what it reports."""
    batch = int(setting["batch"])
    iterations = max(LEAST_ITERATIONS, round(len(task.names) / batch))

    def run() -> Run:
        with tempfile.TemporaryDirectory(dir=task.scratch) as folder:
            line = command(task, setting, iterations)
            line += ["-json_stats", "-report_type", "no_counters", "-report_folder", folder]
            done = subprocess.run(line, capture_output=True, text=True, cwd=folder)
            if done.returncode:
                raise RuntimeError(f"{' '.join(line)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            with open(f"{folder}/benchmark_report.json", encoding="utf-8") as stream:
                found = json.load(stream)["execution_results"]
        seconds = float(found["total execution time (ms)"]) / 1000
        images = batch * int(found["total number of iterations"])
        return Run(images, Spent(seconds), precision_taken(task.precision, done.stdout))

    return run


def precision_taken(wanted: str, printed: str) -> str:
    """Read what it computed in; RuntimeError unless that is the precision's own."""
    taken = TOOK.findall(printed)
    own = "bfloat16" if in_bfloat16(wanted) else "float32"
    if taken != [own]:
        raise RuntimeError(f"benchmark_app took {taken} for {wanted}, wanted {own}")
    return own


def command(task: Task, setting: Setting, iterations: int) -> list[str]:
    """What a user would type."""
    manifest = read_manifest(task.engine)
    program = Path(sysconfig.get_path("scripts")) / "benchmark_app"
    line = [str(program), "-m", str(graph_of(task, str(setting["graph"]))), "-d", "CPU"]
    if not in_bfloat16(task.precision):
        line += ["-infer_precision", "f32"]
    line += ["-layout", f"{manifest.input.name}[NHWC]"]
    line += ["-shape", f"{manifest.input.name}[{setting['batch']},{SIDE},{SIDE},3]"]
    line += ["-hint", str(setting["hint"]), "-niter", str(iterations)]
    if "streams" in setting:
        # It takes these only where it has no hint to follow.
        line += ["-nstreams", str(setting["streams"]), "-nthreads", str(task.cores)]
    return line


def graph_of(task: Task, kind: str) -> Path:
    """Find the graph, or write it once."""
    path = task.engine / read_manifest(task.engine).variant(graph_precision(task.precision)).file
    if kind == "file":
        return path
    written = task.scratch / f"rewritten_{task.precision}.xml"
    if not written.exists():
        import openvino

        model = openvino.Core().read_model(path)
        assert with_unsigned_activations(model)
        openvino.save_model(model, written, compress_to_fp16=False)
    return written
