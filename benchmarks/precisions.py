"""What does each precision of OpenVINO gain, and what does it change against FP32?

    python benchmarks/precisions.py --images DIR --out benchmarks/results/precisions.json

Inference alone, of images in memory, by the backend as a run has it: precisions alternate in one
run, and the rates are medians of the turns. Labels and probabilities are compared image by image,
without calibration.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from result import parser_of, publish

from hambatch.bench.inference import BATCH, Setting, in_memory, open_backend, own_request_size
from hambatch.bench.measuring import timed
from hambatch.engines.backend_names import BACKEND_OF_GATES, FP32
from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.precision import cheaper_here
from hambatch.engines.probabilities import softmax
from hambatch.pipelines.decode import decode
from hambatch.sources.folder import Survey, find_images
from hambatch.system.cpu import available_cores


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__ or "")
    parser.add_argument("--images", type=Path, required=True, help="a folder")
    parser.add_argument("--count", type=int, default=600, help="images, spread evenly over it")
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--images-a-turn", type=int, default=128)
    chosen = parser.parse_args()
    engine = load_engine(find_engine(chosen.engine))
    paths = sorted(chosen.images / name for name in find_images(chosen.images, Survey()))
    places = np.linspace(0, len(paths) - 1, min(chosen.count, len(paths))).round().astype(int)
    kept = [paths[place] for place in places]
    pixels = decode(kept, engine.manifest.input, engine.manifest.preprocessing)
    precisions = (FP32, *cheaper_here(engine.manifest))
    scores, seconds = measured(engine.folder, precisions, pixels, chosen)
    found = {name: figures(name, scores, seconds, chosen.images_a_turn) for name in precisions}
    result = {
        "engine": engine.manifest.name,
        "engine_json_sha256": engine.manifest_sha256,
        "images": len(pixels),
        "streams": available_cores(),
        "images_a_turn": chosen.images_a_turn,
        "precisions": found,
    }
    publish(chosen.out, result, found)


def measured(
    folder: Path, precisions: tuple[str, ...], pixels: NDArray[np.uint8], chosen: Any
) -> tuple[dict[str, NDArray[np.float64]], dict[str, list[float]]]:
    """Give the probabilities ``[n, 7]`` of all images, and the seconds of each turn."""
    size = own_request_size(BACKEND_OF_GATES)
    backends = {
        name: open_backend(folder, Setting(BACKEND_OF_GATES, name, size, available_cores(), 1))
        for name in precisions
    }
    cuts = {name: in_memory(backend, pixels, BATCH) for name, backend in backends.items()}

    def logits(name: str, count: int) -> NDArray[np.float32]:
        batches = (cuts[name](k, min(BATCH, count - k)) for k in range(0, count, BATCH))
        return np.concatenate([scored.logits for scored in backends[name].predict(batches)])

    scores = {name: softmax(logits(name, len(pixels))) for name in precisions}
    seconds: dict[str, list[float]] = {name: [] for name in precisions}
    for _ in range(chosen.turns):
        for name in precisions:
            turn = timed(partial(count_scored, logits, name, chosen.images_a_turn))
            seconds[name].append(turn.seconds)
    for backend in backends.values():
        backend.close()
    return scores, seconds


def count_scored(logits: Callable[[str, int], NDArray[np.float32]], name: str, count: int) -> int:
    """Score so many images."""
    return len(logits(name, count))


def figures(
    name: str, scores: dict[str, NDArray[np.float64]], seconds: dict[str, list[float]], count: int
) -> dict[str, Any]:
    """Compare one precision with FP32."""
    changed = scores[name].argmax(1) != scores[FP32].argmax(1)
    return {
        "seconds": seconds[name],
        "images_per_s": count / median(seconds[name]),
        "times_fp32": median(seconds[FP32]) / median(seconds[name]),
        "labels_changed": int(changed.sum()),
        "largest_change_of_a_probability": float(np.abs(scores[name] - scores[FP32]).max()),
    }


if __name__ == "__main__":
    main()
