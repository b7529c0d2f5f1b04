"""`model.onnx` of an engine: exported, checked against Keras, then put in place."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.atomic import replacing
from hambatch.engines.manifest import Variant
from hambatch.export.fp16_weights import store_weights_as_fp16
from hambatch.export.keras_to_onnx import to_onnx
from hambatch.export.parity import (
    FP16_STORED_LIMITS,
    FP32_LIMITS,
    Limits,
    compare,
    keras_probabilities,
    openvino_probabilities,
    refuse_beyond,
)
from hambatch.versions import library_versions

GRAPH_NAME = "model.onnx"
PRECISION = "fp32"


def export_graph(network: Any, folder: Path, images: NDArray[np.uint8]) -> Variant:
    """Write ``model.onnx`` into ``folder``, once it computes what Keras computes.

    Parameters
    ----------
    network
        The Keras network of :func:`hambatch.training.network.join`.
    images
        uint8 RGB ``[n, side, side, 3]``, n >= 8, real ones: what the graph is
        compared on, before and after its weights are stored as FP16.

    Returns
    -------
    Variant
        With ``parity``: ``images``; ``fp32`` and ``fp16_stored``, each with
        ``max_difference``, ``mean_difference`` and ``label_flips``;
        ``versions`` of the libraries that were compared.

    Raises
    ------
    EngineError
        If a difference is over its limit; an older ``model.onnx`` then stays.
    """
    expected = keras_probabilities(network, images)
    model = to_onnx(network)
    fp32 = _checked(model.SerializeToString(), expected, images, FP32_LIMITS, "FP32")
    content = store_weights_as_fp16(model).SerializeToString(deterministic=True)
    stored = _checked(content, expected, images, FP16_STORED_LIMITS, "FP16-stored")
    with replacing(folder / GRAPH_NAME) as temporary:
        temporary.write_bytes(content)
    parity = {
        "images": len(images),
        "fp32": fp32,
        "fp16_stored": stored,
        "versions": library_versions(),
    }
    return Variant(PRECISION, GRAPH_NAME, parity)


def _checked(
    content: bytes,
    expected: NDArray[np.float64],
    images: NDArray[np.uint8],
    limits: Limits,
    graph: str,
) -> dict[str, Any]:
    measured = compare(expected, openvino_probabilities(content, images))
    refuse_beyond(limits, measured, graph)
    del measured["images"]
    return measured
