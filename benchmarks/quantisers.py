"""Which quantiser keeps this engine's labels, and how fast is its graph?

All start from the engine's FP32 graph and the same images of the training part, those that the
engine's own INT8 graph was made of; it is taken as it is. hambatch's backend scores every graph::

    python benchmarks/quantisers.py --data split.csv --work quantisers.work --out result.json

fp32, hambatch   the engine's own graphs: flips and drift are against the first, speed is
                 relative to the second
others           see int8_makers.py

The gate part decides; the val part is larger, but the engine may have been trained on it. Figures
hold for the processor's kernels, which the result names. With --work of another machine graphs are
not made again, only scored and timed. ``--no-speed`` leaves the timing to ``--only-speed`` when
the machine is quiet. The quantisers are no dependency of hambatch: requirements-peers.txt.
"""

import argparse
from collections.abc import Mapping
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from graph_comparison import Comparison, options_of, report, shown
from graph_runs import OWN, REFERENCE
from int8_makers import MAKERS, NAMES, Done, Maker
from quantiser_task import Task, fp32_layers, save_fp32
from result import publish

from hambatch.engines.backend_names import INT8
from hambatch.pipelines.decode import decode
from hambatch.training.dataset import read_split_file
from hambatch.training.export.int8.export import calibration_images

OTHERS = 300
"""Training images for NNCF's accuracy control."""


def main() -> None:
    """Make, score, time, print and write."""
    chosen = parsed()
    comparison = Comparison(chosen)
    engine, graphs = comparison.engine, comparison.graphs
    layers = fp32_layers(engine.folder / engine.variant(INT8).file)
    if not chosen.only_speed:
        make(comparison, chosen.only, layers)
    names = [REFERENCE, OWN, *(name for name in chosen.only if graphs.is_made(name))]
    found = {name: comparison.score(name) for name in names}
    if not chosen.no_speed:
        comparison.time(names)
    result = comparison.result("which quantiser keeps this engine's labels?", found)
    result |= {
        "layers_in_fp32": layers,
        "hambatch_options": engine.variant(INT8).parity["options"],
        "versions": {name: version(name) for name in ("nncf", "onnxruntime")},
    }
    publish(chosen.out, result, {name: shown(each) for name, each in result["graphs"].items()})


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = options_of(__doc__, 2000)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    return parser.parse_args()


def make(comparison: Comparison, names: list[str], layers: list[str]) -> None:
    """Have every graph made that is not there yet, and scored at once."""
    graphs = comparison.graphs
    source = graphs.folder / "fp32.onnx"
    save_fp32(comparison.engine, source)

    @cache
    def task() -> Task:
        return Task(source, *training_images(comparison), layers)

    def write(maker: Maker, paths: Mapping[str, Path], done: Done) -> None:
        maker.make(task(), paths, done)

    for maker in MAKERS:
        chosen = [name for name in maker.names if name in names]
        graphs.make(chosen, partial(write, maker), report)
        for name in chosen:
            report(f"{name}: {shown(comparison.score(name))}")


def training_images(comparison: Comparison) -> tuple[np.ndarray, np.ndarray]:
    """Decode the images that hambatch's graph was made of, and others for accuracy control."""
    engine, dataset, chosen = comparison.engine, comparison.dataset, comparison.chosen
    how = engine.manifest.input, engine.manifest.preprocessing
    images = calibration_images(dataset, chosen.calibration_images, chosen.seed, *how)
    training = dataset.part("train")
    draw = np.random.default_rng(chosen.seed)  # as calibration_images draws
    drawn = draw.choice(len(training), chosen.calibration_images, replace=False)
    left = training.drop(training.index[drawn])
    rows = left.sample(min(OTHERS, len(left)), random_state=chosen.seed)
    paths = [dataset.root / file for file in rows["file"]]
    for path, sha256 in zip(paths, rows["sha256"], strict=True):
        read_split_file(path, sha256)  # refuses another file
    return images, decode(paths, *how)


if __name__ == "__main__":
    main()
