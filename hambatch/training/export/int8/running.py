"""Running a graph, or one node of it, in FP32 through OpenVINO."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError
from hambatch.system.packages import require
from hambatch.training.export.onnx_graph import IR_VERSION, OPSET, PURPOSE, Weights, onnx_module

BATCH_SIZE = 32

LARGEST = float(np.finfo(np.float16).max)

Array = NDArray[Any]


def compiled(content: bytes, outputs: Sequence[str] = (), shape: Sequence[int] = ()) -> Any:
    """Compile a serialized model for the CPU; one stream, nothing in BF16.

    With more streams than one, OpenVINO 2026.4 may prepare the weights of an INT8
    graph wrongly (:mod:`hambatch.backends.openvino_compile`).
    """
    core = require("openvino", extra="", purpose=PURPOSE).Core()
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


def run_node(
    node: Any,
    inputs: Mapping[str, Array],
    weights: Weights,
    replaced: Mapping[str, Array] | None = None,
) -> NDArray[np.float16]:
    """Compute one node's output on arrays that hold all images.

    Raises EngineError if a value is too large for FP16.

    Parameters
    ----------
    inputs
        By name, in the node's order, ``[n, ...]`` each, pixels uint8, others of any type;
        what is absent is a stored weight.
    replaced
        Weights to use instead of the stored ones.
    """
    graph = compiled(_one_node(node, inputs, weights, replaced or {}))
    count = len(next(iter(inputs.values())))
    parts = (
        graph([_as_input(values[k : k + BATCH_SIZE]) for values in inputs.values()])[0]
        for k in range(0, count, BATCH_SIZE)
    )
    # Each part is copied into its place, so that never all of them are there twice.
    first = next(parts)
    out = np.empty((count, *first.shape[1:]), np.float16)
    filled = 0
    for part in chain([first], parts):
        if np.abs(part).max() > LARGEST:
            raise EngineError(
                f"the output of {node.name} exceeds {LARGEST:g}, what FP16 holds.\n"
                "Next: keep this engine in FP32, or train one with smaller activations"
            )
        out[filled : filled + len(part)] = part
        filled += len(part)
    return out


def _one_node(
    node: Any, inputs: Mapping[str, Array], weights: Weights, replaced: Mapping[str, Array]
) -> bytes:
    """Serialize a model of this node alone."""
    onnx = onnx_module()
    helper = onnx.helper
    ports = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(_as_input(values[:1]).dtype),
            ["batch", *values.shape[1:]],
        )
        for name, values in inputs.items()
    ]
    own = [name for name in node.input if name and name not in {*inputs, *replaced}]
    values = {name: weights.read(name) for name in own} | dict(replaced)
    stored = [onnx.numpy_helper.from_array(array, name) for name, array in values.items()]
    out = helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "one_node", ports, [out], stored)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def _as_input(values: Array) -> Array:
    return values if values.dtype == np.uint8 else values.astype(np.float32)
