"""Which synthetic pictures does an engine tell apart best, without being sure of any?

They become its sentinels (`hambatch.engines.synthetic.SENTINELS`). Each seed is drawn
in four sizes from which DALI and Pillow resize to the same pixels. Of those that the engine gives
at most `--most` to, four of different classes and sizes are chosen whose probabilities are
farthest apart: the largest difference of the nearest two. What INT8, or weights or values
rounded to FP16, move by more than the shares below is left out::

    python benchmarks/known_pictures.py --engine NAME --out result.json

Needs `pip install '.[train]'`.
"""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from result import parser_of, publish

from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.backends.tensorrt.plans.fp16 import as_if_fp16, to_fp16
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.synthetic import write_sentinel_image
from hambatch.pipelines.decode import decode

SIZES = ((280, 210), (252, 336), (336, 252), (336, 280))
"""Width and height."""

MOST_MOVED = {"fp16_weights": 1.5e-4, "fp16_values": 1.5e-3, "int8": 0.03}
"""Of any probability: far less than what a plan, or INT8 elsewhere, may be off by."""

OF_A_CLASS = 12
"""Candidates that are combined, the nearest to `--most` of each class."""

Probabilities = NDArray[np.float64]
Picture = tuple[int, int, int]


def main() -> None:
    """Choose, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--seeds", type=int, default=250)
    parser.add_argument("--most", type=float, default=0.65, help="of any probability")
    chosen = parser.parse_args()
    engine = load_engine(find_engine(chosen.engine))
    result = {
        "question": "which synthetic pictures does the engine tell apart best?",
        **chosen_of(engine, chosen.seeds, chosen.most),
        "engine": engine.manifest.name,
        "graph_sha256": engine.manifest.files[engine.variant("fp32").file].sha256,
    }
    publish(chosen.out, result, result)


def chosen_of(engine: Engine, seeds: int, most: float) -> dict[str, Any]:
    """Choose among all seeds and sizes, and say how far apart and how steady they are."""
    pictures = [(seed, *size) for seed in range(seeds) for size in SIZES]
    images = drawn(engine, pictures)
    content = (engine.folder / engine.variant("fp32").file).read_bytes()
    found = openvino_probabilities(content, images)
    classes = np.bincount(found.argmax(1), minlength=len(CLASSES))
    kept = np.flatnonzero(found.max(1) <= most)
    moved = how_far(engine, content, images[kept], found[kept])
    steady = np.all([values <= MOST_MOVED[name] for name, values in moved.items()], axis=0)
    best, apart = farthest([pictures[k] for k in kept[steady]], found[kept[steady]])
    at = [pictures.index(picture) for picture in best]
    return {
        "pictures": best,
        "nearest_two_apart": apart,
        "predicted": [CLASSES[k] for k in found[at].argmax(1)],
        "largest_probability": float(found[at].max()),
        "moved": {
            name: [float(values[kept == k][0]) for k in at] for name, values in moved.items()
        },
        "of": {"pictures": len(pictures), "most": most, "candidates": int(steady.sum())},
        "predicted_of_all": dict(zip(CLASSES, classes.tolist(), strict=True)),
    }


def drawn(engine: Engine, pictures: list[Picture]) -> NDArray[np.uint8]:
    """Draw them as an engine's sentinels are drawn, and decode them as scoring does."""
    with tempfile.TemporaryDirectory(prefix="hambatch-known-") as place:
        paths = [Path(place) / f"{k}.jpg" for k in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            write_sentinel_image(path, *picture)
        return decode(paths, engine.manifest.input, engine.manifest.preprocessing)


def how_far(
    engine: Engine, content: bytes, images: NDArray[np.uint8], wanted: Probabilities
) -> dict[str, NDArray[np.float64]]:
    """The most that each image's probabilities move, in FP16 and, if there is a graph, INT8."""
    graphs = {"fp16_weights": to_fp16(content), "fp16_values": as_if_fp16(content)}
    for variant in engine.manifest.variants:
        if variant.precision == "int8":
            graphs["int8"] = (engine.folder / variant.file).read_bytes()
    found = {name: openvino_probabilities(graph, images) for name, graph in graphs.items()}
    return {name: np.abs(values - wanted).max(1) for name, values in found.items()}


def farthest(pictures: list[Picture], found: Probabilities) -> tuple[list[Picture], float]:
    """Choose four of different classes and sizes, the nearest two as far apart as can be."""
    labels, tops = found.argmax(1), found.max(1)
    best: tuple[Any, float] = ((), 0.0)
    of_class = [np.flatnonzero(labels == label) for label in range(len(CLASSES))]
    of_class = [those[np.argsort(-tops[those])][:OF_A_CLASS] for those in of_class]
    for several in itertools.combinations([those for those in of_class if len(those)], 4):
        apart = [
            [np.abs(found[a][:, None] - found[b][None]).max(2) for b in several] for a in several
        ]
        for places in itertools.product(*(range(len(those)) for those in several)):
            four = [int(those[place]) for those, place in zip(several, places, strict=True)]
            if len({pictures[k][1:] for k in four}) < len(four):
                continue
            pairs = itertools.combinations(range(4), 2)
            least = min(apart[a][b][places[a], places[b]] for a, b in pairs)
            if least > best[1]:
                best = four, float(least)
    four, least = best
    if not four:
        raise SystemExit("fewer than four classes\nNext: more --seeds, or a larger --most")
    return [pictures[k] for k in four], least


if __name__ == "__main__":
    main()
