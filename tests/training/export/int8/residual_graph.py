"""A small residual network with what ResNet50 has, and images for it."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hambatch.training.options import Int8Options

OPTIONS = Int8Options(calibration_images=8, keep_fp32=1, restore_fp32=0)
CHANNELS, WIDE, FEATURES = 16, 256, 2048
CONVOLUTIONS = {
    "conv_0": (CHANNELS, 3, 7),
    "conv_1": (CHANNELS, CHANNELS, 1),
    "conv_2": (CHANNELS, CHANNELS, 3),
    "conv_3": (WIDE, CHANNELS, 1),
    "conv_4": (WIDE, CHANNELS, 1),
    "conv_5": (CHANNELS, WIDE, 1),
    "conv_6": (WIDE, CHANNELS, 1),
}


def conv(name, source, stride=1, pad=0):
    kernel = CONVOLUTIONS[name][2]
    inputs = [source, f"{name}.kernel", f"{name}.bias"]
    how = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
    return helper.make_node("Conv", inputs, [f"{name}.out"], name=name, **how)


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def stored_weights():
    """Channels of very different sizes, as trained networks have them."""
    rng = np.random.default_rng(3)
    found = {"mean": np.full((1, 3, 1, 1), 120, np.float32)}
    found["axes"] = np.array([1, 2], np.int64)
    for name, (outputs, inputs, side) in CONVOLUTIONS.items():
        sizes = rng.lognormal(0, 0.8, (outputs, 1, 1, 1)) / np.sqrt(inputs * side * side)
        sizes = sizes / 50 if name == "conv_0" else sizes
        kernel = rng.normal(0, 1, (outputs, inputs, side, side)) * sizes
        found[f"{name}.kernel"] = kernel.astype(np.float32)
        found[f"{name}.bias"] = rng.normal(0.2, 0.3, outputs).astype(np.float32)
    # Features as many as the contract wants; a layer that wide takes seconds to be quantised.
    found["spread"] = rng.normal(0, 1 / np.sqrt(WIDE), (WIDE, FEATURES)).astype(np.float32)
    found["head"] = rng.normal(0, 0.01, (FEATURES, 7)).astype(np.float32)
    return found


def residual_model():
    nodes = [
        node("Cast", ["images"], "floats", to=TensorProto.FLOAT),
        node("Transpose", ["floats"], "planes", perm=[0, 3, 1, 2]),
        node("Sub", ["planes", "mean"], "centred"),
        conv("conv_0", "centred", stride=8, pad=3),
        node("Relu", ["conv_0.out"], "relu_0"),
        node("MaxPool", ["relu_0"], "pooled", kernel_shape=[2, 2], strides=[2, 2]),
        conv("conv_1", "pooled"),
        node("Relu", ["conv_1.out"], "relu_1"),
        conv("conv_2", "relu_1", stride=2, pad=1),
        node("Relu", ["conv_2.out"], "relu_2"),
        conv("conv_3", "relu_2"),
        conv("conv_4", "pooled", stride=2),
        node("Add", ["conv_4.out", "conv_3.out"], "added_0"),
        node("Relu", ["added_0"], "relu_3"),
        conv("conv_5", "relu_3"),
        node("Relu", ["conv_5.out"], "relu_4"),
        conv("conv_6", "relu_4"),
        node("Add", ["relu_3", "conv_6.out"], "added_1"),
        node("Relu", ["added_1"], "relu_5"),
        node("Transpose", ["relu_5"], "last", perm=[0, 2, 3, 1]),
        node("ReduceMean", ["last", "axes"], "means", keepdims=0),
        node("MatMul", ["means", "spread"], "features"),
        node("MatMul", ["features", "head"], "logits"),
    ]
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 224, 224, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 7]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", FEATURES]),
        ],
        [numpy_helper.from_array(values, name) for name, values in stored_weights().items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def images_of_blocks(count, seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 14, 14, 3), np.uint8)
    return coarse.repeat(16, axis=1).repeat(16, axis=2)


QUANTISED = [name for name in CONVOLUTIONS if name != "conv_0"]


def of_kind(graph, kind):
    return [node for node in graph.node if node.op_type == kind]


def pair_sums(codes):
    """Magnitudes of neighbouring input channels' weights ``[o, i, h, w]``, added up."""
    sizes = np.abs(codes.astype(np.int64))
    if sizes.shape[1] % 2:
        sizes = np.pad(sizes, ((0, 0), (0, 1), (0, 0), (0, 0)))
    return sizes[:, ::2] + sizes[:, 1::2]
