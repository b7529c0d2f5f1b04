"""Batch normalisation folded into the convolution before it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.require import require


def fold_into_convolutions(graph: Any) -> None:
    """Fold each constant ``Mul`` and ``Add`` that follows a ``Conv`` into its weights.

    Keras normalises in inference mode as ``x * scale + shift``, one constant a
    channel, and tf2onnx writes it so. Folding happens in float64 and is
    rounded once to float32. New initializers are made for every convolution,
    since tf2onnx lets equal constants share one.

    Parameters
    ----------
    graph
        ``onnx.GraphProto`` in topological order; changed in place.
    """
    onnx = require("onnx", extra="train", purpose="the export to ONNX")
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for index, conv in enumerate([node for node in graph.node if node.op_type == "Conv"]):
        weight, *bias = (onnx.numpy_helper.to_array(constants[name]) for name in conv.input[1:])
        folded = _fold(graph, conv, constants, weight, bias[0] if bias else np.zeros(len(weight)))
        names = (f"conv_{index}.weight", f"conv_{index}.bias")
        for name, values in zip(names, folded, strict=True):
            graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        conv.input[1:] = names
    drop_unused(graph)


def drop_unused(graph: Any) -> None:
    """Remove the initializers that no node reads any more."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _fold(
    graph: Any, conv: Any, constants: dict[str, Any], weight: NDArray[Any], bias: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights ``[out, in, h, w]`` and bias ``[out]`` after all that follows ``conv``."""
    onnx = require("onnx", extra="train", purpose="the export to ONNX")
    weight, bias = weight.astype(np.float64), bias.astype(np.float64)
    while (step := _constant_step(graph, conv.output[0], constants)) is not None:
        node, constant = step
        per_channel = np.broadcast_to(onnx.numpy_helper.to_array(constant).ravel(), bias.shape)
        if node.op_type == "Mul":
            weight = weight * per_channel[:, None, None, None]
            bias = bias * per_channel
        else:
            bias = bias + per_channel
        conv.output[0] = node.output[0]
        graph.node.remove(node)
    return weight.astype(np.float32), bias.astype(np.float32)


def _constant_step(graph: Any, tensor: str, constants: dict[str, Any]) -> tuple[Any, Any] | None:
    """Find the node that alone reads ``tensor`` and multiplies or adds a constant."""
    readers = [node for node in graph.node if tensor in node.input]
    if len(readers) != 1 or readers[0].op_type not in {"Mul", "Add"}:
        return None
    others = [name for name in readers[0].input if name != tensor]
    if len(others) != 1 or others[0] not in constants:
        return None
    return readers[0], constants[others[0]]
