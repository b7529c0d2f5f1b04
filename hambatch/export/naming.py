"""Names in the graph that depend on the network alone, not on the session that wrote it."""

from collections import Counter
from typing import Any

from hambatch.engines.manifest import FEATURES
from hambatch.labels import CLASSES
from hambatch.require import require

OUTPUTS = {"logits": len(CLASSES), "features": FEATURES}
"""Name and width of each output, in the order of the graph."""


def name_outputs(graph: Any) -> None:
    """Name the outputs and their dimensions: float32 ``[batch, width]`` each."""
    onnx = require("onnx", extra="train", purpose="the export to ONNX")
    _rename(graph, dict(zip((output.name for output in graph.output), OUTPUTS, strict=True)))
    del graph.output[:], graph.value_info[:]
    for name, width in OUTPUTS.items():
        shape = ["batch", width]
        graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))


def name_nodes(graph: Any) -> None:
    """Give each node a number by operator, and inner tensors the name of their node.

    tf2onnx puts counters of the session into names; without them the same
    weights give the same bytes.
    """
    kept = {value.name for value in [*graph.input, *graph.output]}
    seen: Counter[str] = Counter()
    new: dict[str, str] = {}
    for node in graph.node:
        operator = node.op_type.lower()
        node.name = f"{operator}_{seen[operator]}"
        seen[operator] += 1
        constants = [tensor for tensor in node.input if _is_constant(graph, tensor)]
        for position, tensor in enumerate(constants):
            new.setdefault(tensor, f"{node.name}.constant_{position}")
        for tensor in node.output:
            new[tensor] = tensor if tensor in kept else f"{node.name}.out"
    _rename(graph, new)


def _is_constant(graph: Any, tensor: str) -> bool:
    return any(tensor == initializer.name for initializer in graph.initializer)


def _rename(graph: Any, new: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
