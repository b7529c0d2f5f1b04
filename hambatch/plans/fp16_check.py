"""How far the FP16 graph is from the FP32 graph, without a GPU.

CPUs compute the FP16 graph in FP32: that shows only what the rounded weights do. So every value
that FP16 would hold is rounded to its 11 bits of mantissa in a copy of the FP32 graph. Sums stay
FP32 there; whether TensorRT's kernels sum in FP16 shows on a GPU only. Values over 65504 would be
infinite in FP16 and stay finite here; the known pictures, scored by the plan itself, show those.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError
from hambatch.export.parity import compare, openvino_probabilities
from hambatch.plans.fp16_graph import float_values, rounded_weight, stays
from hambatch.require import require

WEIGHTS_LIMIT = 1e-3
"""Of any probability, with the weights rounded; an engine of the published recipe has 1.2e-4 on its
known pictures (``benchmarks/results/fp16_rounding.json``, like the next)."""

VALUES_LIMIT = 5e-3
"""With values rounded too. That engine has 1.1e-3 on its known pictures, which are chosen
to be moved by little, and 3.2e-3 at most on 500 images of HAM10000, where no label changed."""

SPLITTER = np.float32(2**13 + 1)
"""Veltkamp's: of t = SPLITTER x, t - (t - x) is x rounded to 24 - 13 bits (Dekker 1971)."""


def check_fp16(content: bytes, half: bytes, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Compare a serialized FP32 model with what FP16 makes of it.

    Parameters
    ----------
    half
        What :func:`hambatch.plans.fp16_graph.to_fp16` made of ``content``.
    images
        uint8 RGB ``[n, height, width, 3]``.

    Returns
    -------
    dict
        ``weights`` and ``values``: each ``images``, ``max_difference`` and ``mean_difference``
        (of the softmax), ``label_flips``.

    Raises
    ------
    EngineError
        If a probability differs by more than its limit.
    """
    wanted = openvino_probabilities(content, images)
    weights = compare(wanted, openvino_probabilities(half, images))
    values = compare(wanted, openvino_probabilities(as_if_fp16(content), images))
    for found, limit in ((weights, WEIGHTS_LIMIT), (values, VALUES_LIMIT)):
        if not found["max_difference"] <= limit:
            raise EngineError(
                f"in FP16 a probability of this engine moves by {found['max_difference']:.1e}, "
                f"wanted {limit:.0e} at most.\nNext: hambatch build --precision fp32"
            )
    return {"weights": weights, "values": values}


def as_if_fp16(content: bytes) -> bytes:
    """Copy a serialized FP32 model; whatever FP16 would hold is rounded as FP16 rounds it."""
    onnx = require("onnx", extra="gpu", purpose="hambatch build --precision fp16")
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
    nodes = _Rounding(onnx, model.graph).run()
    splitter = onnx.numpy_helper.from_array(np.array(SPLITTER), "splitter")
    model.graph.initializer.append(splitter)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    serialized: bytes = model.SerializeToString()
    return serialized


class _Rounding:
    """Walks over the nodes; ``rounded`` maps a value to its rounded twin, if it has one."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx, self._graph = onnx, graph
        self._floats = float_values(onnx, graph)
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._rounded: dict[str, str] = {}
        self._nodes: list[Any] = []

    def run(self) -> list[Any]:
        """Give the nodes of the rounded graph."""
        kept = stays(self._graph)
        for k, node in enumerate(self._graph.node):
            if k in kept:
                self._nodes.append(node)
                continue
            for place, name in enumerate(node.input):
                if name in self._floats:
                    node.input[place] = self._round(name)
            exact = {name: f"{name}.exact" for name in node.output if name in self._floats}
            node.output[:] = [exact.get(name, name) for name in node.output]
            self._nodes.append(node)
            for name, source in exact.items():
                self._add(source, name)
                self._rounded[name] = name
        return self._nodes

    def _round(self, name: str) -> str:
        """Name the rounded twin of what is read, made if need be."""
        if name not in self._rounded:
            self._rounded[name] = f"{name}.rounded"
            if name in self._weights:
                self._round_weight(name)
            else:
                self._add(name, self._rounded[name])
        return self._rounded[name]

    def _round_weight(self, name: str) -> None:
        helper, twin = self._onnx.numpy_helper, self._rounded[name]
        values = rounded_weight(helper.to_array(self._weights[name]), name).astype(np.float32)
        self._graph.initializer.append(helper.from_array(values, twin))

    def _add(self, source: str, target: str) -> None:
        product, rest = f"{target}.product", f"{target}.rest"
        make = self._onnx.helper.make_node
        self._nodes += [
            make("Mul", [source, "splitter"], [product]),
            make("Sub", [product, source], [rest]),
            make("Sub", [product, rest], [target]),
        ]
