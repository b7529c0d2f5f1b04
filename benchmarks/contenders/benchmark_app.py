"""OpenVINO's own `benchmark_app` on the engine's own ONNX file: what inference can do.

FP32 means FP32 (`-infer_precision f32`; without it some CPUs would compute in BF16).
"""

import json
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

from contenders.task import SIDE, Setting, Task
from hambatch.engines.manifest import read_manifest

BATCHES = (1, 4, 8, 16)

LEAST_ITERATIONS = 4


def settings(task: Task) -> list[Setting]:
    """One stream or one a core, and what OpenVINO chooses for throughput."""
    streams = [{"hint": "none", "streams": n} for n in sorted({1, task.cores})]
    return [
        {**how, "batch": batch} for how in [*streams, {"hint": "throughput"}] for batch in BATCHES
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
    graph = next(v.file for v in manifest.variants if v.precision == task.precision)
    program = Path(sysconfig.get_path("scripts")) / "benchmark_app"
    line = [str(program), "-m", str(task.engine / graph)]
    line += ["-d", "CPU", "-infer_precision", "f32"]
    line += ["-layout", f"{manifest.input.name}[NHWC]"]
    line += ["-shape", f"{manifest.input.name}[{setting['batch']},{SIDE},{SIDE},3]"]
    line += ["-hint", str(setting["hint"]), "-niter", str(iterations)]
    if "streams" in setting:
        # It takes these only where it has no hint to follow.
        line += ["-nstreams", str(setting["streams"]), "-nthreads", str(task.cores)]
    return line
