"""The graph that a plan is built from: FP16 is converted from FP32, and checked against it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.backends.tensorrt.plans.invariance import Images
from hambatch.engines.backend_names import FP32
from hambatch.engines.loading import Engine
from hambatch.engines.probabilities import compare
from hambatch.errors import EngineError
from hambatch.system.packages import require

FP16 = "fp16"

SUFFIX = ".half"
"""Of the FP16 twin of a value."""

IN_FP32 = frozenset({"Cast", "Constant", "ConstantOfShape", "LogSoftmax", "Softmax", "Sub"})
"""Operators that stay. ``Sub`` takes the mean off pixels: what is before it stays as well, so the
difference is that of the FP32 graph, rounded once."""

WEIGHTS_LIMIT = 1e-3
"""Of any probability, with the weights rounded; an engine of the published recipe has 1.2e-4 on its
sentinels (``benchmarks/results/fp16_rounding.json``, like the next)."""

VALUES_LIMIT = 5e-3
"""With values rounded too. That engine has 1.1e-3 on its sentinels, which are chosen to be moved by
little, and 3.2e-3 at most on 500 images of HAM10000, where no label changed."""

SPLITTER = np.float32(2**13 + 1)
"""Veltkamp's: of t = SPLITTER x, t - (t - x) is x rounded to 24 - 13 bits (Dekker 1971)."""


@dataclass(frozen=True)
class Graph:
    """A serialized model; ``conversion`` says how far an FP16 one is from FP32."""

    content: bytes
    conversion: dict[str, Any] = field(default_factory=dict)


def source_of(engine: Engine, precision: str) -> str:
    """Name the file of the graph in the engine's folder; EngineError if there is none."""
    return engine.variant(FP32 if precision == FP16 else precision).file


def graph_of(engine: Engine, precision: str, images: Images) -> Graph:
    """Read the graph; FP16 is converted from FP32, and checked on the images.

    Raises EngineError if the engine has no such graph, its weights lie beside it, or FP16 is too
    far from FP32.
    """
    path = engine.folder / source_of(engine, precision)
    stored = FP32 if precision == FP16 else precision
    if engine.external_data(stored):
        # TensorRT takes bytes, and would look for the file in the current folder.
        raise EngineError(
            f"{path} has external data, wanted a graph with its weights inside for TensorRT.\n"
            "Next: hambatch score --device cpu"
        )
    content = path.read_bytes()
    engine.refuse_replaced(stored)
    if precision != FP16:
        return Graph(content)
    half = to_fp16(content)
    return Graph(half, check_fp16(content, half, images))


def check_fp16(content: bytes, half: bytes, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Compare a serialized FP32 model with ``half``, which :func:`to_fp16` made of it.

    Returns ``weights`` and ``values``: each ``images``, ``max_difference`` and
    ``mean_difference`` (of the softmax), ``label_flips``. Raises EngineError if a probability
    differs by more than its limit.
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


def to_fp16(content: bytes) -> bytes:
    """Convert a serialized FP32 model; its inputs and outputs keep their types.

    Raises EngineError if a weight is not finite, or too large for FP16 (65504).
    """
    onnx = require("onnx", extra="gpu", purpose="hambatch build --precision fp16")
    # Types of all values; the graph has float inputs nowhere else than where they are named.
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
    _Conversion(onnx, model.graph).run()
    onnx.checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


class _Conversion:
    """Walks over the nodes; ``halves`` maps a value to its FP16 twin, ``wide`` exist in FP32."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx, self._graph = onnx, graph
        self._floats = float_values(onnx, graph)
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._wide = {value.name for value in graph.input} | set(self._weights)
        self._halves: dict[str, str] = {}
        self._nodes: list[Any] = []

    def run(self) -> None:
        """Convert the graph, in place."""
        kept = stays(self._graph)
        for k, node in enumerate(self._graph.node):
            if self._is_stored_half(node):
                self._halves[node.output[0]] = node.input[0]
            elif k in kept:
                self._keep(node)
            else:
                self._convert(node)
        self._widen(value.name for value in self._graph.output)
        used = {name for node in self._nodes for name in node.input}
        weights = [tensor for name, tensor in self._weights.items() if name in used]
        del self._graph.node[:], self._graph.initializer[:], self._graph.value_info[:]
        self._graph.node.extend(self._nodes)
        self._graph.initializer.extend(weights)

    def _is_stored_half(self, node: Any) -> bool:
        """Whether it only makes FP32 of a weight that is stored as FP16."""
        weight = self._weights.get(node.input[0]) if node.op_type == "Cast" else None
        half = self._onnx.TensorProto.FLOAT16
        return weight is not None and weight.data_type == half and node.output[0] in self._floats

    def _keep(self, node: Any) -> None:
        self._widen(node.input)
        self._nodes.append(node)
        self._wide.update(node.output)

    def _convert(self, node: Any) -> None:
        for k, name in enumerate(node.input):
            if name in self._floats:
                node.input[k] = self._half(name)
        for k, name in enumerate(node.output):
            if name in self._floats:
                node.output[k] = self._halves[name] = name + SUFFIX
        self._nodes.append(node)

    def _half(self, name: str) -> str:
        """Name the FP16 twin of a value, which is made if there is none."""
        if name not in self._halves:
            self._halves[name] = name + SUFFIX
            if name in self._weights:
                self._round(name)
            else:
                self._cast(name, self._halves[name], self._onnx.TensorProto.FLOAT16)
        return self._halves[name]

    def _widen(self, names: Iterable[str]) -> None:
        """Make the FP32 values that do not exist yet."""
        for name in names:
            if name in self._halves and name not in self._wide:
                self._cast(self._halves[name], name, self._onnx.TensorProto.FLOAT)
                self._wide.add(name)

    def _cast(self, source: str, target: str, kind: int) -> None:
        node = self._onnx.helper.make_node
        self._nodes.append(node("Cast", [source], [target], name=f"{target}.cast", to=kind))

    def _round(self, name: str) -> None:
        half = self._halves[name]
        values = rounded_weight(self._onnx.numpy_helper.to_array(self._weights[name]), name)
        self._weights[half] = self._onnx.numpy_helper.from_array(values, half)


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
    """Walks over the nodes; ``rounded`` maps a value to its rounded twin."""

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
        """Name the rounded twin of a value, which is made if there is none."""
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


def stays(graph: Any) -> set[int]:
    """Number the nodes that stay in FP32.

    Those named above, all that lead to a ``Sub``, and the convolution that reads pixels: rounded
    to FP16, its weights alone move a sentinel of an engine of the published recipe by
    2.9e-3, and those of all others by 1.2e-4. The INT8 graph leaves it in FP32 as well.
    """
    nodes = list(graph.node)
    maker = {name: k for k, node in enumerate(nodes) for name in node.output}
    kept = {k for k, node in enumerate(nodes) if node.op_type in IN_FP32}
    left = [k for k in kept if nodes[k].op_type == "Sub"]
    centred = {name for k in left for name in nodes[k].output}
    kept |= {k for k, n in enumerate(nodes) if n.op_type == "Conv" and n.input[0] in centred}
    while left:
        before = {maker[name] for name in nodes[left.pop()].input if name in maker}
        left += before - kept
        kept |= before
    return kept


def rounded_weight(values: Any, name: str) -> Any:
    """Round to FP16; raises EngineError if a value is not finite or too large."""
    largest = np.abs(values).max(initial=0)
    if not largest <= np.finfo(np.float16).max:
        raise EngineError(
            f"the weight {name} holds {largest}, wanted finite values of at most 65504, "
            "what FP16 can hold.\nNext: hambatch build --precision fp32"
        )
    return values.astype(np.float16)


def float_values(onnx: Any, graph: Any) -> set[str]:
    """Name the values that are FP32 now."""
    kind = onnx.TensorProto.FLOAT
    typed = [*graph.input, *graph.output, *graph.value_info]
    found = {value.name for value in typed if value.type.tensor_type.elem_type == kind}
    return found | {tensor.name for tensor in graph.initializer if tensor.data_type == kind}
