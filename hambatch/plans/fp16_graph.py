"""The FP32 graph with FP16 types: TensorRT computes in what the ONNX says.

Written here because the converters at hand do more and keep less: that of ONNX Runtime comes
with ONNX Runtime, and the older one of ``onnxconverter-common`` leaves a ``Cast`` to FP32 that
is in the graph already as it is, which is what our large weights are stored behind.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hambatch.errors import EngineError
from hambatch.require import require

SUFFIX = ".half"

IN_FP32 = frozenset({"Cast", "Constant", "ConstantOfShape", "LogSoftmax", "Softmax", "Sub"})
"""Operators that stay. ``Sub`` takes the mean off pixels: what is before it stays as well, so the
difference is that of the FP32 graph, rounded once."""


def to_fp16(content: bytes) -> bytes:
    """Convert a serialized FP32 model; its inputs and outputs keep their types.

    Raises
    ------
    EngineError
        If a weight is not finite, or too large for FP16 (65504).
    """
    onnx = require("onnx", extra="gpu", purpose="hambatch build --precision fp16")
    # Types of all values; the graph has float inputs nowhere else than where they are named.
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
    converted = _Conversion(onnx, model).run()
    onnx.checker.check_model(converted, full_check=True)
    serialized: bytes = converted.SerializeToString(deterministic=True)
    return serialized


def stays(graph: Any) -> set[int]:
    """Number the nodes that stay in FP32.

    Those named above, all that lead to a ``Sub``, and the convolution that reads pixels: rounded
    to FP16, its weights alone move a known picture of an engine of the published recipe by
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


@dataclass
class _Conversion:
    """One pass over the nodes.

    ``halves`` maps a value to its FP16 twin; ``wide`` are those that exist in FP32.
    """

    onnx: Any
    model: Any
    halves: dict[str, str] = field(default_factory=dict)
    wide: set[str] = field(default_factory=set)
    nodes: list[Any] = field(default_factory=list)

    def run(self) -> Any:
        """Convert the model, in place."""
        graph = self.model.graph
        self.weights = {tensor.name: tensor for tensor in graph.initializer}
        self.floats = float_values(self.onnx, graph)
        self.wide = {value.name for value in graph.input} | set(self.weights)
        kept = stays(graph)
        for k, node in enumerate(graph.node):
            if self._is_stored_half(node):
                self.halves[node.output[0]] = node.input[0]
            elif k in kept:
                self._keep(node)
            else:
                self._convert(node)
        self._widen(value.name for value in graph.output)
        self._replace(graph)
        return self.model

    def _is_stored_half(self, node: Any) -> bool:
        """Whether it only makes FP32 of a weight that is stored as FP16."""
        weight = self.weights.get(node.input[0]) if node.op_type == "Cast" else None
        half = self.onnx.TensorProto.FLOAT16
        return weight is not None and weight.data_type == half and node.output[0] in self.floats

    def _keep(self, node: Any) -> None:
        self._widen(node.input)
        self.nodes.append(node)
        self.wide.update(node.output)

    def _convert(self, node: Any) -> None:
        for k, name in enumerate(node.input):
            if name in self.floats:
                node.input[k] = self._half(name)
        for k, name in enumerate(node.output):
            if name in self.floats:
                node.output[k] = self.halves[name] = name + SUFFIX
        self.nodes.append(node)

    def _half(self, name: str) -> str:
        """Name the FP16 twin of a value, made if need be."""
        if name not in self.halves:
            self.halves[name] = name + SUFFIX
            if name in self.weights:
                self._round(name)
            else:
                self._cast(name, self.halves[name], self.onnx.TensorProto.FLOAT16)
        return self.halves[name]

    def _widen(self, names: Iterable[str]) -> None:
        """See to it that values exist in FP32."""
        for name in names:
            if name in self.halves and name not in self.wide:
                self._cast(self.halves[name], name, self.onnx.TensorProto.FLOAT)
                self.wide.add(name)

    def _cast(self, source: str, target: str, kind: int) -> None:
        make = self.onnx.helper.make_node
        self.nodes.append(make("Cast", [source], [target], name=f"{target}.cast", to=kind))

    def _round(self, name: str) -> None:
        half = self.halves[name]
        values = rounded_weight(self.onnx.numpy_helper.to_array(self.weights[name]), name)
        self.weights[half] = self.onnx.numpy_helper.from_array(values, half)

    def _replace(self, graph: Any) -> None:
        used = {name for node in self.nodes for name in node.input}
        weights = [tensor for name, tensor in self.weights.items() if name in used]
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(weights)


def rounded_weight(values: Any, name: str) -> Any:
    """Round to FP16.

    Raises
    ------
    EngineError
        If a value is not finite or too large.
    """
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
