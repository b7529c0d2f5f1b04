"""The head of a graph that OpenVINO has read, recognised by its structure."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError

Weights = NDArray[np.float64]

WANTED = "global average pooling, Dense, ReLU, Dense"


@dataclass(frozen=True)
class Head:
    """``logits = relu(features @ w1 + b1) @ w2 + b2``, in float64.

    ``w1`` is ``[channels, hidden]``, ``b1`` ``[hidden]``, ``w2`` ``[hidden, classes]`` and
    ``b2`` ``[classes]``.
    """

    w1: Weights
    b1: Weights
    w2: Weights
    b2: Weights


class Pooled(NamedTuple):
    """A head, and the port of the feature map that is averaged for it; where its channels are."""

    head: Head
    feature_map: Any
    channel_axis: int


class _OtherForm(Exception):
    """What there is instead."""


def find_head(model: Any, path: str) -> Pooled:
    """Walk back from ``logits`` over both layers and the pooling to the last feature map.

    Parameters
    ----------
    model
        ``openvino.Model`` of a fixed shape, with the outputs ``logits`` and ``features``.
        What depends on stored values alone is computed in it, in place.

    Raises
    ------
    EngineError
        If the head has another form; the gradient that is used would be wrong for it.
    """
    _fold_constants(model)
    try:
        return _found(model)
    except _OtherForm as error:
        raise EngineError(
            f"{path} cannot be explained: its head has {error}; wanted {WANTED}.\n"
            "Next: hambatch engines list, and --engine with one that hambatch train made"
        ) from error


def _fold_constants(model: Any) -> None:
    """Compute weights stored as FP16, axes and the like, so that they can be read."""
    from openvino import passes

    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)


def _found(model: Any) -> Pooled:
    logits, features = (model.output(n).get_node().input_value(0) for n in ("logits", "features"))
    hidden, w2, b2 = _dense(logits, "before logits")
    before_relu = _node(hidden, "Relu", "between the two layers").input_value(0)
    pooled, w1, b1 = _dense(before_relu, "before the ReLU")
    if _identity(pooled) != _identity(features):
        raise _OtherForm("a first layer that reads another tensor than features")
    feature_map, channel_axis = _pooling(pooled)
    return Pooled(Head(w1, b1, w2, b2), feature_map, channel_axis)


def _dense(port: Any, where: str) -> tuple[Any, Weights, Weights]:
    """Give input, weights ``[in, out]`` and bias ``[out]`` of the layer whose output this is."""
    added, bias = _with_constant(port, "Add", where)
    scale = 1.0
    while added.get_node().get_type_name() == "Multiply":
        # The alpha of an ONNX Gemm, mostly 1.
        added, factor = _with_constant(added, "Multiply", where)
        if factor.size != 1:
            raise _OtherForm(f"a factor of {factor.size} values {where}")
        scale *= float(factor.item())
    product = _node(added, "MatMul", where)
    transposed = product.get_attributes()
    weights = _constant(product.input_value(1))
    if weights is None or weights.ndim != 2 or transposed["transpose_a"]:
        raise _OtherForm(f"a MatMul without a matrix of weights {where}")
    if transposed["transpose_b"]:
        weights = weights.T
    if bias.size != weights.shape[1]:
        raise _OtherForm(f"a bias of {bias.size} values {where}, not {weights.shape[1]}")
    return product.input_value(0), scale * weights, bias.ravel()


def _pooling(port: Any) -> tuple[Any, int]:
    """Give what is averaged over two of its four axes, and the axis of its channels."""
    while port.get_node().get_type_name() in {"Reshape", "Squeeze"}:
        port = port.get_node().input_value(0)
    mean = _node(port, "ReduceMean", "before the first layer")
    source, axes = mean.input_value(0), _constant(mean.input_value(1))
    rank = len(source.get_partial_shape())
    left = set(range(1, rank)) - {int(axis) % rank for axis in (() if axes is None else axes)}
    if rank != 4 or len(left) != 1:
        raise _OtherForm("a mean over something else than rows and columns")
    return source, left.pop()


def _with_constant(port: Any, kind: str, where: str) -> tuple[Any, Weights]:
    """Part the inputs of a node into the computed one and the stored one."""
    first, second = _node(port, kind, where).input_values()
    for computed, stored in ((first, second), (second, first)):
        values = _constant(stored)
        if values is not None:
            return computed, values
    raise _OtherForm(f"a {kind} of two computed tensors {where}")


def _node(port: Any, kind: str, where: str) -> Any:
    node = port.get_node()
    found = node.get_type_name()
    if found != kind:
        raise _OtherForm(f"{found} {where}, not {kind}")
    return node


def _constant(port: Any) -> Weights | None:
    node = port.get_node()
    is_stored = node.get_type_name() == "Constant"
    # A copy: the array of a node goes when the graph does.
    return np.array(node.data, np.float64) if is_stored else None


def _identity(port: Any) -> tuple[str, int]:
    return port.get_node().get_name(), port.get_index()
