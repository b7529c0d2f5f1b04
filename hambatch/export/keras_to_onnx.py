"""A Keras network to the engine's ONNX graph: uint8 RGB in, logits and features out."""

import logging
from typing import Any

import hambatch
from hambatch.errors import EngineError
from hambatch.export.folding import fold_into_convolutions
from hambatch.export.naming import name_nodes, name_outputs
from hambatch.export.normalisation import take_rgb_bytes
from hambatch.require import require
from hambatch.training.network import keras_for

OPSET = 18
IR_VERSION = 8
"""What came with opset 18: ONNX Runtime 1.14, TensorRT 8.6 and OpenVINO 2023 read it."""

PURPOSE = "the export to ONNX"


def to_onnx(network: Any) -> Any:
    """Convert the network of :func:`hambatch.training.network.join`.

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
