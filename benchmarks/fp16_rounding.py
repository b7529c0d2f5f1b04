"""How far does FP16 move a probability?

Without a GPU: OpenVINO computes the engine's FP32 graph, its FP16 graph (whose sums it does in
FP32: so that only the weights are rounded), and the FP32 graph with every value between two
layers rounded to FP16. The last is what a GPU does but for its sums. `known` are the engine's
sentinels, on which `hambatch build` checks a conversion; `images` those of a folder::

    python benchmarks/fp16_rounding.py --images DIR --count 500 --out result.json
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picture_folders import described, pictures
from result import parser_of, publish

from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.backends.tensorrt.plans.fp16 import VALUES_LIMIT, WEIGHTS_LIMIT, as_if_fp16, to_fp16
from hambatch.backends.tensorrt.plans.trial import decode_sentinels
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.probabilities import compare
from hambatch.pipelines.decode import decode


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: drawn ones")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    chosen = parser.parse_args()
    engine = load_engine(find_engine(chosen.engine))
    with tempfile.TemporaryDirectory(prefix="hambatch-fp16-") as place:
        found = pictures(chosen.images, Path(place) / "drawn", chosen.count)
        images = decode(found, engine.manifest.input, engine.manifest.preprocessing)
        about = described(found)
    moved = {"known": of(engine, decode_sentinels(engine)), "images": of(engine, images)}
    result = {
        "question": "how far does FP16 move a probability?",
        **about,
        "limits": {"weights": WEIGHTS_LIMIT, "values": VALUES_LIMIT},
        "moved": moved,
        "engine_json_sha256": engine.manifest_sha256,
    }
    publish(chosen.out, result, moved)


def of(engine: Engine, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Compare on uint8 images ``[n, height, width, 3]``."""
    content = (engine.folder / engine.variant("fp32").file).read_bytes()
    wanted = openvino_probabilities(content, images)
    return {
        "weights": compare(wanted, openvino_probabilities(to_fp16(content), images)),
        "values": compare(wanted, openvino_probabilities(as_if_fp16(content), images)),
    }


if __name__ == "__main__":
    main()
