"""Running parts of a graph in FP32 through OpenVINO."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError
from hambatch.system.packages import require
from hambatch.training.export.int8.onnx_parts import PURPOSE, Weights, onnx_module

BATCH_SIZE = 32


OPSET = 18


LARGEST = float(np.finfo(np.float16).max)


Array = NDArray[Any]


def compiled(content: bytes, outputs: Sequence[str] = (), shape: Sequence[int] = ()) -> Any:
    """Compile a serialized model for the CPU; one stream, nothing in BF16.

    With more streams than one, OpenVINO 2026.4 may prepare the weights of an INT8
    graph wrongly (:mod:`hambatch.backends.openvino_compile`).
    """
    openvino = require("openvino", extra="", purpose=PURPOSE)
    core = openvino.Core()
    model = core.read_model(content)
    if shape:
        model.reshape(list(shape))
    if outputs:
        model.add_outputs(list(outputs))
    how = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    return core.compile_model(model, "CPU", how)


def one_by_one(content: bytes, images: Array, outputs: Sequence[str]) -> Iterator[list[Array]]:
    """Yield the named tensors, ``[1, ...]`` each, of one image after the other.

    They belong to OpenVINO and hold until the next image.
    """
    graph = compiled(content, outputs, (1, *images.shape[1:]))
    request = graph.create_infer_request()
    for index in range(len(images)):
        request.infer({0: images[index : index + 1]})
        yield [request.get_tensor(graph.output(name)).data for name in outputs]


def logits_of(content: bytes, images: Array) -> NDArray[np.float32]:
    """Score all images, one a request: ``[n, 7]``."""
    graph = compiled(content, shape=(1, *images.shape[1:]))
    return np.concatenate([graph(image[None])["logits"].copy() for image in images])


class NodeRunner:
    """Runs one node of a graph, in FP32, on arrays that hold all images."""

    def __init__(self, graph: Any) -> None:
        self._weights = Weights(graph)

    def __call__(
        self, node: Any, inputs: Mapping[str, Array], stored: Mapping[str, Array] | None = None
    ) -> Array:
        """Compute the node's output, kept as FP16.

        Parameters
        ----------
        inputs
            By name, ``[n, ...]`` each, pixels uint8, others of any type; what is absent
            is a stored weight.
        stored
            Weights to use instead of the graph's.

        Raises
        ------
        EngineError
            If a value is too large for FP16.
        """
        graph = compiled(self._alone(node, inputs, stored or {}))
        read = [inputs[name] for name in dict.fromkeys(node.input) if name in inputs]
        starts = range(0, len(read[0]), BATCH_SIZE)
        parts = (
            graph([_as_read(values[k : k + BATCH_SIZE]) for values in read])[0] for k in starts
        )
        return _joined(node.name, parts, len(read[0]))

    def _alone(self, node: Any, inputs: Mapping[str, Array], stored: Mapping[str, Array]) -> bytes:
        """Serialize a model of this node."""
        onnx = onnx_module()
        helper, arrays = onnx.helper, onnx.numpy_helper
        ports = [
            helper.make_tensor_value_info(
                name,
                helper.np_dtype_to_tensor_dtype(_as_read(inputs[name][:1]).dtype),
                ["batch", *inputs[name].shape[1:]],
            )
            for name in dict.fromkeys(node.input)
            if name in inputs
        ]
        own = [name for name in node.input if name and name not in {*inputs, *stored}]
        weights = [self._weights.tensor(name) for name in own]
        weights += [arrays.from_array(values, name) for name, values in stored.items()]
        out = helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
        graph = helper.make_graph([node], "one_node", ports, [out], weights)
        opset = [helper.make_opsetid("", OPSET)]
        content: bytes = helper.make_model(
            graph, opset_imports=opset, ir_version=8
        ).SerializeToString()
        return content


def _as_read(values: Array) -> Array:
    return values if values.dtype == np.uint8 else values.astype(np.float32)


def _joined(name: str, parts: Iterator[Array], count: int) -> NDArray[np.float16]:
    """Copy each part into its place, so that never all of them are there twice."""
    first = next(parts)
    out = np.empty((count, *first.shape[1:]), np.float16)
    filled = 0
    for part in chain([first], parts):
        if np.abs(part).max() > LARGEST:
            raise EngineError(
                f"the output of {name} exceeds {LARGEST:g}, what FP16 holds.\n"
                "Next: keep this engine in FP32, or train one with smaller activations"
            )
        out[filled : filled + len(part)] = part
        filled += len(part)
    return out
