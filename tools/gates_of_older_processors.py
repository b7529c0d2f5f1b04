"""Measure an engine's gates as processors with fewer instructions than this one would.

    python tools/gates_of_older_processors.py ENGINE_DIR split.csv

oneDNN, which OpenVINO computes with, takes no later kernels than ONEDNN_MAX_CPU_ISA names. INT8
kernels of one instruction set give the same integers on every processor that has it, so a gate
that is measured like this is the gate of such a processor. It goes into engine.json under that
instruction set, as `hambatch engines verify --gate` would write it there.

Each limit has a process of its own. The commands of hambatch remove that variable, so nothing here
goes through them: images are decoded and scored in the process itself.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.backends.openvino_cpu import load
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import Engine
from hambatch.engines.manifest import read_manifest
from hambatch.engines.precision import cheaper_here
from hambatch.pipelines.decode import decode
from hambatch.system import cpu
from hambatch.system.cpu import available_cores
from hambatch.training import gate
from hambatch.types import Batch

LIMIT = "ONEDNN_MAX_CPU_ISA"

BATCH_SIZE = 64

KNOWN: dict[str, tuple[str, ...]] = {
    "AVX2": ("avx2",),
    "AVX2_VNNI": ("avx2", "avx_vnni"),
    "AVX512_CORE": ("avx2", "avx512f"),
    "AVX512_CORE_VNNI": ("avx2", "avx512f", "avx512_vnni"),
    "AVX512_CORE_BF16": ("avx2", "avx512f", "avx512_vnni", "avx512_bf16"),
}
"""Limits, and what a processor has that has nothing later, of all that hambatch looks for."""


def main() -> None:
    """Measure under every limit that is below this processor, and write what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("engine", type=Path)
    parser.add_argument("split", type=Path)
    chosen = parser.parse_args()
    if LIMIT in os.environ:
        measure(chosen.engine, chosen.split)
        return
    here = cpu.processor_flags(Path("/proc/cpuinfo"))
    for limit in (name for name, flags in KNOWN.items() if here.issuperset(flags)):
        subprocess.run(  # noqa: S603
            [sys.executable, __file__, chosen.engine, chosen.split],
            env={**os.environ, LIMIT: limit},
            check=True,
        )


def measure(folder: Path, split: Path) -> None:
    """Measure the gates under the limit of this process."""
    below = set(KNOWN[os.environ[LIMIT]])
    found = cpu.processor_flags

    def limited(cpuinfo: Path) -> set[str]:
        return {flag for flag in found(cpuinfo) if flag not in cpu.EXTENSIONS or flag in below}

    cpu.processor_flags = limited
    gate.score_split = in_process  # type: ignore[assignment]
    if cheaper_here(read_manifest(folder)):
        gate.gate_engine(folder, split, print)
    else:
        print(f"{os.environ[LIMIT]}: the engine has nothing cheaper than FP32")


def in_process(
    engine: Engine, root: Path, images: pd.DataFrame, precision: str
) -> list[SimpleNamespace]:
    """Score with one graph in this process; a row of each image with its prediction."""
    manifest, paths = engine.manifest, [root / name for name in images["file"]]
    pixels = decode(paths, manifest.input, manifest.preprocessing)
    backend = load(engine, precision, available_cores())
    labels = [row.argmax() for scored in backend.predict(batches(pixels)) for row in scored.logits]
    backend.close()
    return [SimpleNamespace(prediction=CLASSES[label]) for label in labels]


def batches(pixels: NDArray[np.uint8]) -> Iterator[Batch]:
    """Cut images, uint8 ``[n, height, width, 3]``, into batches as the backend takes them."""
    for start in range(0, len(pixels), BATCH_SIZE):
        part = pixels[start : start + BATCH_SIZE]
        unnamed = [""] * len(part)
        yield Batch(np.arange(len(part)) + start, part, unnamed, unnamed)


if __name__ == "__main__":
    main()
