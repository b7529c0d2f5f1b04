"""How often does OpenVINO prepare a graph wrongly for several streams?

Every round compiles the engine's graph anew and scores its sentinels in every stream.
A compilation counts as wrong when any logit is more than 1e-3 of the largest away from those
of a graph compiled for one stream. Compared: one compiled graph with several streams, as
OpenVINO's documentation has it, and one graph a stream, as hambatch runs INT8; in every
precision that the processor computes::

    python benchmarks/int8_streams.py --rounds 50 --streams 2 --out result.json
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino
from result import parser_of, publish

from hambatch.backends.openvino_compile import How, compile_copies, hint_of
from hambatch.backends.openvino_graph import read_graph
from hambatch.engines.backend_names import FP32
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.precision import cheaper_here
from hambatch.training.export.export import read_images

SHARE = 1e-3


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--streams", type=int, default=2)
    parser.add_argument("--images", type=Path, required=True, help="folder of at least 8 images")
    chosen = parser.parse_args()
    engine = load_engine(find_engine(DEFAULT_ENGINE))
    pixels = read_images(chosen.images, engine.manifest.input, engine.manifest.preprocessing)[:2]
    counts = {
        precision: measure(engine, precision, pixels, chosen.streams, chosen.rounds)
        for precision in (FP32, *cheaper_here(engine.manifest))
    }
    result = {
        "question": "how often are all scores of a start wrong, by how a graph is compiled?",
        "rounds": chosen.rounds,
        "streams": chosen.streams,
        "wrong_compilations": counts,
        "engine_json_sha256": engine.manifest_sha256,
    }
    publish(chosen.out, result, counts)


def measure(
    engine: Engine, precision: str, pixels: np.ndarray, streams: int, rounds: int
) -> dict[str, int]:
    """Count wrong compilations of either kind."""
    one = compile_copies(engine, precision, How(1))
    (wanted,) = answers(one, pixels, 1)
    limit = SHARE * max(1.0, float(np.abs(wanted).max()))
    wrong = {"one graph with several streams": 0, "as hambatch compiles it": 0}
    for _ in range(rounds):
        for name, copies in (
            ("one graph with several streams", [shared(engine, precision, streams)]),
            ("as hambatch compiles it", compile_copies(engine, precision, How(streams))),
        ):
            found = answers(copies, pixels, streams // len(copies))
            wrong[name] += any(np.abs(logits - wanted).max() > limit for logits in found)
    return wrong


def shared(engine: Engine, precision: str, streams: int) -> Any:
    """One compiled graph, its streams sharing weights."""
    properties = {
        "INFERENCE_PRECISION_HINT": hint_of(precision),
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams,
    }
    graph = read_graph(engine, precision, 1)
    return openvino.Core().compile_model(graph, "CPU", properties)


def answers(copies: list[Any], pixels: np.ndarray, streams: int) -> list[np.ndarray]:
    """Logits ``[n, 7]`` of all images, by every stream of every copy."""
    found = []
    for compiled in copies:
        requests = [compiled.create_infer_request() for _ in range(streams)]
        parts: list[list[np.ndarray]] = [[] for _ in requests]
        for image in pixels:
            for request in requests:
                request.start_async({0: image[None]})
            for request, part in zip(requests, parts, strict=True):
                request.wait()
                part.append(request.get_tensor("logits").data[0].copy())
        found += [np.array(part) for part in parts]
    return found


if __name__ == "__main__":
    main()
