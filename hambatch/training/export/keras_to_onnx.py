"""A Keras network to the engine's ONNX graph: uint8 RGB in, logits and features out."""

import logging
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hambatch
from hambatch.backends.keras_network import keras_for
from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import FEATURES, InputSpec
from hambatch.errors import EngineError
from hambatch.system.packages import require


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


MEAN_RGB = (123.68, 116.779, 103.939)
"""ImageNet channel means of Keras' ``resnet.preprocess_input``, there in BGR order."""


def take_rgb_bytes(graph: Any) -> None:
    """Put ``Cast -> Transpose -> Sub(mean)`` before the first convolution.

    ``Cast`` comes first because TensorRT's parser refuses ``Transpose`` on
    uint8. The mean is subtracted as a node of its own: the convolution pads its
    input with zeros *after* the subtraction, and a mean folded into its bias
    would be subtracted from the padding as well. BGR is reached by reversing
    the input channels of that convolution's weights, not by moving pixels.

    Parameters
    ----------
    graph
        ``onnx.GraphProto`` whose one input is float32 NCHW, BGR, with the mean
        subtracted, read by one ``Conv``; changed in place.
    """
    onnx = require("onnx", extra="train", purpose="the export to ONNX")
    spec = InputSpec()
    old = graph.input[0].name
    sides = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim[2:]]
    (conv,) = (node for node in graph.node if old in node.input)
    kernel = next(tensor for tensor in graph.initializer if tensor.name == conv.input[1])
    reversed_kernel = np.ascontiguousarray(onnx.numpy_helper.to_array(kernel)[:, ::-1])
    kernel.CopyFrom(onnx.numpy_helper.from_array(reversed_kernel, kernel.name))
    mean = np.array(MEAN_RGB, np.float32).reshape(1, 3, 1, 1)
    graph.initializer.append(onnx.numpy_helper.from_array(mean, "mean_rgb"))

    node, float32, uint8 = onnx.helper.make_node, onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
    first = [
        node("Cast", [spec.name], ["as_float"], to=float32),
        node("Transpose", ["as_float"], ["as_nchw"], perm=[0, 3, 1, 2]),
        node("Sub", ["as_nchw", "mean_rgb"], ["centred"]),
    ]
    conv.input[0] = "centred"
    rest = list(graph.node)
    del graph.node[:], graph.input[:]
    graph.node.extend(first + rest)
    shape = ["batch", *sides, 3]
    graph.input.append(onnx.helper.make_tensor_value_info(spec.name, uint8, shape))


MIN_ELEMENTS = 2**17
"""Smaller tensors stay FP32. The first layers are small, and their rounding grows
through all the others: with the limit at 1,024 elements the file was 3 % smaller
(49.1 MB instead of 50.6) and the largest probability difference on 128 real
images 23 times larger (2.7e-3 instead of 1.2e-4)."""


def store_weights_as_fp16(model: Any) -> Any:
    """Copy the model with its large float32 initializers stored as FP16.

    Each is cast to FP32 once, before its use; runtimes fold that cast when
    they load the graph.

    Raises
    ------
    EngineError
        If a weight is not finite, or too large for FP16 (65504).
    """
    onnx = require("onnx", extra="train", purpose="the export to ONNX")
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    casts = []
    for tensor in stored.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < MIN_ELEMENTS:
            continue
        if not np.abs(values).max() <= np.finfo(np.float16).max:
            raise EngineError(
                f"the weight {tensor.name} holds {np.abs(values).max()}, "
                "wanted finite values of at most 65504, what FP16 can hold.\n"
                "Next: train the engine again"
            )
        name, half = tensor.name, f"{tensor.name}.fp16"
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(
            onnx.helper.make_node(
                "Cast", [half], [name], name=f"{name}.cast", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = list(stored.graph.node)
    del stored.graph.node[:]
    stored.graph.node.extend(casts + nodes)
    onnx.checker.check_model(stored, full_check=True)
    return stored


OPSET = 18


IR_VERSION = 8
"""What came with opset 18: ONNX Runtime 1.14, TensorRT 8.6 and OpenVINO 2023 read it."""


PURPOSE = "the export to ONNX"


def to_onnx(network: Any) -> Any:
    """Convert the network of :func:`hambatch.backends.keras_network.join`.

    Returns
    -------
    onnx.ModelProto
        Input ``images`` uint8 ``[batch, side, side, 3]`` RGB; outputs ``logits``
        float32 ``[batch, 7]`` and ``features`` float32 ``[batch, 2048]``;
        ``batch`` is dynamic. All weights float32, batch normalisation folded.

    Raises
    ------
    EngineError
        If normalisation is left that could not be folded.
    """
    model = _convert(network)
    fold_into_convolutions(model.graph)
    take_rgb_bytes(model.graph)
    name_outputs(model.graph)
    name_nodes(model.graph)
    left = {node.op_type for node in model.graph.node} & {"BatchNormalization", "Mul"}
    if left:
        raise EngineError(
            f"the exported graph still has {', '.join(sorted(left))} nodes, wanted all "
            "normalisation folded into convolutions.\n"
            "Next: pip install 'hambatch[train]' for the versions that the export was tested with"
        )
    _describe(model)
    require("onnx", extra="train", purpose=PURPOSE).checker.check_model(model, full_check=True)
    return model


def _convert(network: Any) -> Any:
    """Run tf2onnx: float32 NCHW in, two unnamed outputs (logits, then features)."""
    keras_for(PURPOSE)
    tensorflow = require("tensorflow", extra="train", purpose=PURPOSE)
    tf2onnx = require("tf2onnx", extra="train", purpose=PURPOSE)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)

    def call(preprocessed: Any) -> Any:
        outputs = network(preprocessed, training=False)
        return outputs["logits"], outputs["features"]

    shape = tensorflow.TensorSpec(network.input_shape, tensorflow.float32, name="preprocessed")
    model, _ = tf2onnx.convert.from_function(
        tensorflow.function(call),
        input_signature=[shape],
        opset=OPSET,
        inputs_as_nchw=["preprocessed"],
    )
    return model


def _describe(model: Any) -> None:
    """Say who made the graph, and nothing of the machine it was made on."""
    onnx = require("onnx", extra="train", purpose=PURPOSE)
    model.ir_version = IR_VERSION
    model.producer_name = "hambatch"
    model.producer_version = hambatch.__version__
    model.graph.name = "hambatch"
    del model.opset_import[:], model.metadata_props[:], model.functions[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        part.ClearField("doc_string")
