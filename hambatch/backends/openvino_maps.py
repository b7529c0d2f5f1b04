"""The backend of `hambatch explain`: FP32 scores, and Grad-CAM maps of every class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.openvino_graph import blaming_graph, read_graph
from hambatch.backends.placing import REQUEST_SIZE
from hambatch.engines.backend_names import FP32
from hambatch.engines.loading import Engine
from hambatch.errors import EngineError
from hambatch.system.packages import require
from hambatch.types import Batch, Explained, Scored, on_host

Values = NDArray[np.float64]

WANTED = "global average pooling, Dense, ReLU, Dense"
"""The head that can be explained."""


@dataclass(frozen=True)
class Head:
    """``logits = relu(features @ w1 + b1) @ w2 + b2``, in float64.

    ``w1`` is ``[channels, hidden]``, ``b1`` ``[hidden]``, ``w2`` ``[hidden, classes]`` and
    ``b2`` ``[classes]``.
    """

    w1: Values
    b1: Values
    w2: Values
    b2: Values


class MapsBackend:
    """Scores and explains on one thread, one request after the other: there are few images."""

    name = "openvino-fp32"
    holds = 0
    note = ""

    def __init__(self, compiled: Any, head: Head, channel_axis: int) -> None:
        self._compiled, self._head, self._channel_axis = compiled, head, channel_axis

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Score batches in requests of one size, and add what explains the scores."""
        for batch in batches:
            images = on_host(batch.images)
            # One request at least, for the shapes of an empty batch.
            starts = range(0, max(1, len(images)), REQUEST_SIZE)
            parts = [self._request(images[k : k + REQUEST_SIZE]) for k in starts]
            logits, features, maps = (np.concatenate(each) for each in zip(*parts, strict=True))
            yield Scored(batch, logits, features, explained=Explained(images, maps))

    def close(self) -> None:
        """Give back nothing before the process ends."""

    def _request(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], ...]:
        """Logits, features and maps of up to ``REQUEST_SIZE`` images, filled up with black."""
        padded = np.zeros((REQUEST_SIZE, *images.shape[1:]), np.uint8)
        padded[: len(images)] = images
        answer = self._compiled(padded)
        logits, features = answer["logits"], answer["features"]
        # The output that was added is the last.
        feature_map = np.moveaxis(answer[len(answer) - 1], self._channel_axis, 1)
        maps = grad_cam(self._head, feature_map, features).astype(np.float32)
        return tuple(each[: len(images)] for each in (logits, features, maps))


def load(
    engine: Engine, precision: str, streams: int, *, model_cache: Path | None = None
) -> MapsBackend:
    """Compile the FP32 graph for one thread, as `score` runs it, with the feature map beside.

    Raises EngineError if the graph is unreadable, differs from its manifest or has another head.
    """
    if precision != FP32:
        raise EngineError(
            f"maps are made from the fp32 graph, found {precision}.\n"
            "Next: hambatch explain, which uses fp32"
        )
    openvino = require("openvino", extra="", purpose="hambatch explain")
    core = openvino.Core()
    model = read_graph(engine, FP32, REQUEST_SIZE)
    path = engine.folder / engine.variant(FP32).file
    head, feature_map, channel_axis = find_head(model, str(path))
    model.add_outputs(feature_map)
    # As in hambatch.backends.openvino_compile; an image's maps depend on no number of cores.
    hints = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}
    with blaming_graph(path):
        compiled = core.compile_model(model, "CPU", hints)
    return MapsBackend(compiled, head, channel_axis)


def grad_cam(head: Head, feature_map: NDArray[np.float32], features: NDArray[np.float32]) -> Values:
    """Grad-CAM of every class, at least 0; arguments and shape as of :func:`evidence`."""
    return np.maximum(evidence(head, feature_map, features), 0)


def evidence(head: Head, feature_map: NDArray[np.float32], features: NDArray[np.float32]) -> Values:
    """What each cell adds to each logit, before anything is cut off at zero.

    With ``h = features @ w1 + b1``, the derivative of logit c by channel k is
    ``sum_j w1[k, j] [h_j > 0] w2[j, c] / (rows columns)`` at every cell, so its mean over the
    cells, the weight of Grad-CAM [1]_, is that number too. All cells together give the logit
    but for what the biases of the layers that are active add to it.

    Parameters
    ----------
    feature_map
        ``[n, channels, rows, columns]``.
    features
        Its mean over rows and columns, ``[n, channels]``.

    Returns
    -------
    ``[n, classes, rows, columns]``.

    References
    ----------
    .. [1] Selvaraju et al., ICCV 2017, arXiv:1610.02391, equation 1.
    """
    cells = feature_map.shape[2] * feature_map.shape[3]
    active = features.astype(np.float64) @ head.w1 + head.b1 > 0
    weights = (active[:, None, :] * head.w2.T) @ head.w1.T / cells
    maps: Values = np.einsum("nck,nkij->ncij", weights, feature_map.astype(np.float64))
    return maps


class Pooled(NamedTuple):
    """A head, and the port of the feature map that is averaged for it; where its channels are."""

    head: Head
    feature_map: Any
    channel_axis: int


class _OtherForm(Exception):
    """Says which form there is instead."""


def find_head(model: Any, path: str) -> Pooled:
    """Walk back from ``logits`` over both layers and the pooling to the last feature map.

    Raises EngineError if the head has another form: the gradient that is used would be wrong.

    Parameters
    ----------
    model
        ``openvino.Model`` of a fixed shape, with the outputs ``logits`` and ``features``.
        What depends on stored values alone is computed in it, in place.
    """
    from openvino import passes

    # Weights stored as FP16, axes and the like become constants that can be read.
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    try:
        return _found(model)
    except _OtherForm as error:
        raise EngineError(
            f"{path} cannot be explained: its head has {error}; wanted {WANTED}.\n"
            "Next: hambatch engines list, and --engine with one that hambatch train made"
        ) from error


def _found(model: Any) -> Pooled:
    logits, features = (model.output(n).get_node().input_value(0) for n in ("logits", "features"))
    hidden, w2, b2 = _dense(logits, "before logits")
    before_relu = _node(hidden, "Relu", "between the two layers").input_value(0)
    pooled, w1, b1 = _dense(before_relu, "before the ReLU")
    if pooled != features:
        raise _OtherForm("a first layer that reads another tensor than features")
    feature_map, channel_axis = _pooling(pooled)
    return Pooled(Head(w1, b1, w2, b2), feature_map, channel_axis)


def _dense(port: Any, where: str) -> tuple[Any, Values, Values]:
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


def _with_constant(port: Any, kind: str, where: str) -> tuple[Any, Values]:
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


def _constant(port: Any) -> Values | None:
    node = port.get_node()
    is_stored = node.get_type_name() == "Constant"
    # A copy: the array of a node goes when the graph does.
    return np.array(node.data, np.float64) if is_stored else None
