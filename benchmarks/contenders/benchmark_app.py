"""OpenVINO's own `benchmark_app` on the engine's graph: what inference can do.

On the ONNX file as it is, and, for INT8, also on the graph that hambatch makes of it before it
compiles, saved as OpenVINO's own format: the ceiling is that of the faster one. FP32 means FP32
(`-infer_precision f32`; without it some CPUs would compute in BF16).
"""

import json
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from contenders.task import SIDE, Setting, Task
from hambatch.backends.openvino_graph import with_unsigned_activations
from hambatch.engines.backend_names import INT8
from hambatch.engines.manifest import read_manifest

BATCHES = (1, 4, 8, 16)

LEAST_ITERATIONS = 4


def settings(task: Task) -> list[Setting]:
    """One stream or one a core, and what OpenVINO chooses for throughput."""
    graphs = ("file", "rewritten") if task.precision == INT8 else ("file",)
    streams = [{"hint": "none", "streams": n} for n in sorted({1, task.cores})]
    hows = [*streams, {"hint": "throughput"}]
    return [
        {**how, "batch": batch, "graph": graph}
        for graph in graphs
        for how in hows
        for batch in BATCHES
    ]


def build(task: Task, setting: Setting) -> Callable[[], float]:
    """Run it on as many random images as there are pictures; the rate is what it reports."""
    batch = int(setting["batch"])
    iterations = max(LEAST_ITERATIONS, round(len(task.names) / batch))

    def run() -> float:
        with tempfile.TemporaryDirectory(dir=task.scratch) as folder:
            line = command(task, setting, iterations)
            line += ["-json_stats", "-report_type", "no_counters", "-report_folder", folder]
            done = subprocess.run(line, capture_output=True, text=True, cwd=folder)
            if done.returncode:
                raise RuntimeError(f"{' '.join(line)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            with open(f"{folder}/benchmark_report.json", encoding="utf-8") as stream:
                return float(json.load(stream)["execution_results"]["throughput"])

    return run


def command(task: Task, setting: Setting, iterations: int) -> list[str]:
    """What a user would type."""
    manifest = read_manifest(task.engine)
    program = Path(sysconfig.get_path("scripts")) / "benchmark_app"
    line = [str(program), "-m", str(graph_of(task, str(setting["graph"])))]
    line += ["-d", "CPU", "-infer_precision", "f32"]
    line += ["-layout", f"{manifest.input.name}[NHWC]"]
    line += ["-shape", f"{manifest.input.name}[{setting['batch']},{SIDE},{SIDE},3]"]
    line += ["-hint", str(setting["hint"]), "-niter", str(iterations)]
    if "streams" in setting:
        # It takes these only where it has no hint to follow.
        line += ["-nstreams", str(setting["streams"]), "-nthreads", str(task.cores)]
    return line


def graph_of(task: Task, kind: str) -> Path:
    """Find the graph, or write it once."""
    variants = read_manifest(task.engine).variants
    path = task.engine / next(v.file for v in variants if v.precision == task.precision)
    if kind == "file":
        return path
    written = task.scratch / f"rewritten_{task.precision}.xml"
    if not written.exists():
        import openvino

        model = openvino.Core().read_model(path)
        assert with_unsigned_activations(model)
        openvino.save_model(model, written, compress_to_fp16=False)
    return written
