"""The graph's own first nodes: from uint8 RGB pixels to what ResNet50 expects."""

from typing import Any

import numpy as np

from hambatch.engines.manifest import InputSpec
from hambatch.require import require

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
