"""What does each layer that the INT8 graph keeps in FP32 cost, and what does it save?

The convolutions are fitted once, all but the first, as `hambatch export --int8` fits them. Of these
fits graphs are put together with any choice of layers in INT8; hambatch's backend scores them::

    python benchmarks/int8_layers.py --data split.csv --work int8_layers.work --out result.json

fp32, hambatch     the engine's own graphs
same_layers        of these fits, with the same layers in FP32 as hambatch's graph
only_conv_N        the same, but this one of its FP32 layers is INT8 too
down_to_K          K of these layers are left in FP32: those that disturb the logits most for their
                   multiplications become INT8 last

Speed is relative to hambatch's graph: a layer costs what ``only_conv_N`` is faster. Activations of
all images lie in memory, and those of the first stage are large: so fewer images are fitted on than
an export takes, with more places of each. ``--no-speed``, ``--only-speed``: as quantisers.py.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import onnx
from graph_comparison import PARTS, Comparison, options_of, report, shown
from graph_runs import OWN, REFERENCE
from layer_fits import LayerFits, keep_fits
from quantiser_task import fp32_layers, save_fp32
from result import publish

from hambatch.engines.backend_names import INT8
from hambatch.training.export.int8.export import calibration_images
from hambatch.training.options import Int8Options

SAME = "same_layers"

FIRST = "conv_0"
"""It reads pixels, which can be negative: it stays FP32."""


def main() -> None:
    """Fit, score, time, print and write."""
    chosen = parsed()
    comparison = Comparison(chosen)
    engine = comparison.engine
    stored = fp32_layers(engine.folder / engine.variant(INT8).file)
    layers = [name for name in stored if name.startswith("conv_") and name != FIRST]
    fits = fitted(comparison)
    found = {name: comparison.score(name) for name in (REFERENCE, OWN)}
    graphs: dict[str, list[str]] = {SAME: layers}
    graphs |= {f"only_{name}": [n for n in layers if n != name] for name in layers}
    score_all(comparison, fits, graphs, found)
    order = by_disturbance(found, layers, fits.multiplications())
    steps = {f"down_to_{k}": order[len(order) - k :] for k in reversed(range(len(order) - 1))}
    score_all(comparison, fits, steps, found)
    if not chosen.no_speed:
        comparison.time(list(found))
    result = comparison.result("what do layers in FP32 cost, and what do they save?", found)
    result |= {
        "places_of_an_image": chosen.places,
        "order": order,
        "multiplications": {name: fits.multiplications()[name] for name in layers},
        "fp32_convolutions": {
            name: [FIRST, *kept] for name, kept in (graphs | steps).items() if name in found
        },
    }
    publish(chosen.out, result, {name: shown(each) for name, each in result["graphs"].items()})


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = options_of(__doc__, 500)
    parser.add_argument("--places", type=int, default=64, help="of each image, to fit on")
    return parser.parse_args()


def fitted(comparison: Comparison) -> LayerFits:
    """Fit all convolutions but the first, unless the work folder holds the fits."""
    folder, chosen, engine = comparison.graphs.folder, comparison.chosen, comparison.engine
    if not (folder / "fits.npz").exists():
        count, seed = chosen.calibration_images, chosen.seed
        manifest = engine.manifest
        images = calibration_images(
            comparison.dataset, count, seed, manifest.input, manifest.preprocessing
        )
        save_fp32(engine, folder / "fp32.onnx")
        model = onnx.load(folder / "fp32.onnx")
        options = Int8Options(
            calibration_images=count,
            positions=chosen.places,
            seed=seed,
            keep_fp32=1,
            restore_fp32=0,
        )
        keep_fits(model, images, options, folder, report)
    return LayerFits(folder)


def score_all(
    comparison: Comparison,
    fits: LayerFits,
    graphs: dict[str, list[str]],
    found: dict[str, dict[str, Any]],
) -> None:
    """Put graphs together that are not there yet, by the layers they keep, and score them."""

    def write(kept: list[str], paths: Mapping[str, Path], done: Callable[[str], None]) -> None:
        for name, path in paths.items():
            path.write_bytes(fits.graph(kept))
            done(name)

    for name, kept in graphs.items():
        if not comparison.chosen.only_speed:
            comparison.graphs.make([name], partial(write, kept), report)
        if comparison.graphs.is_made(name):
            found[name] = comparison.score(name)
            report(f"{name}: {shown(found[name])}")


def by_disturbance(
    found: dict[str, dict[str, Any]], layers: list[str], multiplications: dict[str, int]
) -> list[str]:
    """Sort layers by how much more error of the logits each brings in INT8 for its work.

    Of the images of the last part that is scored: by default val, so that the gate part checks a
    choice that it did not make.
    """

    def squared(name: str) -> float:
        part = [one for one in PARTS if one in found[name]][-1]
        return float(found[name][part]["logit_rms_error"] ** 2)

    def disturbance(layer: str) -> float:
        return (squared(f"only_{layer}") - squared(SAME)) / multiplications[layer]

    return sorted(layers, key=disturbance)


if __name__ == "__main__":
    main()
