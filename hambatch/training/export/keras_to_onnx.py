"""A Keras network to the engine's ONNX graph: uint8 RGB in, logits and features out."""

import logging
import os
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
from hambatch.training.export.onnx_graph import (
    IR_VERSION,
    OPSET,
    PURPOSE,
    Weights,
    onnx_module,
    replace_nodes,
)

OUTPUTS = {"logits": len(CLASSES), "features": FEATURES}
"""Name and width of each output, in the order of the graph."""

MEAN_RGB = (123.68, 116.779, 103.939)
"""ImageNet channel means of Keras' ``resnet.preprocess_input``, there in BGR order."""


def to_onnx(network: Any) -> Any:
    """Convert the network of :func:`hambatch.backends.keras_network.join`.

    Returns
    -------
    onnx.ModelProto
        Input ``images`` uint8 ``[batch, side, side, 3]`` RGB; outputs ``logits``
        float32 ``[batch, 7]`` and ``features`` float32 ``[batch, 2048]``;
        ``batch`` is dynamic. All weights float32, batch normalisation folded; EngineError
        if some is left that could not be folded.
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
    onnx_module().checker.check_model(model, full_check=True)
    return model


def _convert(network: Any) -> Any:
    """Run tf2onnx: float32 NCHW in, two unnamed outputs (logits, then features)."""
    keras_for(PURPOSE)
    tensorflow = require("tensorflow", extra="train", purpose=PURPOSE)
    tf2onnx = require("tf2onnx", extra="train", purpose=PURPOSE)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    # Else it copies the whole graph before each step, 1.6 GB for ResNet50, to go on with the copy
    # where a step fails; here a step that fails is an error.
    os.environ["TF2ONNX_CATCH_ERRORS"] = "FALSE"

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


def fold_into_convolutions(graph: Any) -> None:
    """Fold each constant ``Mul`` and ``Add`` that follows a ``Conv`` into its weights.

    Keras normalises in inference mode as ``x * scale + shift``, one constant a
    channel, and tf2onnx writes it so. Folding happens in float64 and is
    rounded once to float32. New initializers are made for every convolution,
    since tf2onnx lets equal constants share one. ``graph`` is changed in place.
    """
    weights = Weights(graph)
    for index, conv in enumerate([node for node in graph.node if node.op_type == "Conv"]):
        weight, bias = _folded(graph, conv, weights)
        conv.input[1:] = [
            weights.write(f"conv_{index}.weight", weight),
            weights.write(f"conv_{index}.bias", bias),
        ]
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _folded(
    graph: Any, conv: Any, weights: Weights
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights ``[out, in, h, w]`` and bias ``[out]`` after all that follows ``conv``."""
    weight, *biases = (weights.read(name).astype(np.float64) for name in conv.input[1:])
    bias = biases[0] if biases else np.zeros(len(weight))
    while (step := _constant_step(graph, conv.output[0], weights)) is not None:
        node, constant = step
        per_channel = np.broadcast_to(weights.read(constant).ravel(), bias.shape)
        if node.op_type == "Mul":
            weight = weight * per_channel[:, None, None, None]
            bias = bias * per_channel
        else:
            bias = bias + per_channel
        conv.output[0] = node.output[0]
        graph.node.remove(node)
    return weight.astype(np.float32), bias.astype(np.float32)


def _constant_step(graph: Any, tensor: str, weights: Weights) -> tuple[Any, str] | None:
    """Find the node that alone reads ``tensor`` and multiplies or adds a constant."""
    readers = [node for node in graph.node if tensor in node.input]
    if len(readers) != 1 or readers[0].op_type not in {"Mul", "Add"}:
        return None
    others = [name for name in readers[0].input if name != tensor]
    return (readers[0], others[0]) if len(others) == 1 and others[0] in weights else None


def take_rgb_bytes(graph: Any) -> None:
    """Put ``Cast -> Transpose -> Sub(mean)`` before the first convolution.

    ``Cast`` comes first because TensorRT's parser refuses ``Transpose`` on
    uint8. The mean is subtracted as a node of its own: the convolution pads its
    input with zeros *after* the subtraction, and a mean folded into its bias
    would be subtracted from the padding as well. BGR is reached by reversing
    the input channels of that convolution's weights, not by moving pixels.

    ``graph``, whose one input is float32 NCHW, BGR, mean subtracted, is changed in place.
    """
    onnx, weights, name = onnx_module(), Weights(graph), InputSpec().name
    (old,) = graph.input
    sides = [dim.dim_value for dim in old.type.tensor_type.shape.dim[2:]]
    (conv,) = (node for node in graph.node if old.name in node.input)
    kernel = conv.input[1]
    weights.write(kernel, np.ascontiguousarray(weights.read(kernel)[:, ::-1]))
    weights.write("mean_rgb", np.array(MEAN_RGB, np.float32).reshape(1, 3, 1, 1))
    conv.input[0] = "centred"
    node, float32, uint8 = onnx.helper.make_node, onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8
    first = [
        node("Cast", [name], ["as_float"], to=float32),
        node("Transpose", ["as_float"], ["as_nchw"], perm=[0, 3, 1, 2]),
        node("Sub", ["as_nchw", "mean_rgb"], ["centred"]),
    ]
    replace_nodes(graph, [*first, *graph.node])
    del graph.input[:]
    graph.input.append(onnx.helper.make_tensor_value_info(name, uint8, ["batch", *sides, 3]))


def name_outputs(graph: Any) -> None:
    """Name the outputs and their dimensions: float32 ``[batch, width]`` each."""
    onnx = onnx_module()
    _rename(graph, dict(zip((output.name for output in graph.output), OUTPUTS, strict=True)))
    del graph.output[:], graph.value_info[:]
    for name, width in OUTPUTS.items():
        shape = ["batch", width]
        graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))


def name_nodes(graph: Any) -> None:
    """Give each node a number by operator, and inner tensors the name of their node.

    tf2onnx puts counters into names; without them the same weights give the same bytes.
    """
    kept = {value.name for value in [*graph.input, *graph.output]}
    weights = Weights(graph)
    seen: Counter[str] = Counter()
    new: dict[str, str] = {}
    for node in graph.node:
        operator = node.op_type.lower()
        node.name = f"{operator}_{seen[operator]}"
        seen[operator] += 1
        constants = [tensor for tensor in node.input if tensor in weights]
        for position, tensor in enumerate(constants):
            new.setdefault(tensor, f"{node.name}.constant_{position}")
        for tensor in node.output:
            new[tensor] = tensor if tensor in kept else f"{node.name}.out"
    _rename(graph, new)


def _rename(graph: Any, new: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)


def _describe(model: Any) -> None:
    """Say who made the graph, and nothing of the machine it was made on."""
    model.ir_version = IR_VERSION
    model.producer_name = "hambatch"
    model.producer_version = hambatch.__version__
    model.graph.name = "hambatch"
    del model.opset_import[:], model.metadata_props[:], model.functions[:]
    model.opset_import.append(onnx_module().helper.make_opsetid("", OPSET))
    for part in (model, model.graph, *model.graph.node, *model.graph.initializer):
        part.ClearField("doc_string")
