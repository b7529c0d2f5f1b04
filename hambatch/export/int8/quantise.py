"""From an FP32 graph and images to the INT8 graph."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.config import Int8Options
from hambatch.export.fp16_weights import store_weights_as_fp16
from hambatch.export.int8.equalisation import channel_maxima, equalise
from hambatch.export.int8.layerwise import Tell, walk
from hambatch.export.int8.onnx_parts import onnx_module, with_fp32_weights
from hambatch.export.int8.restoring import inserted, without_costliest


def quantise(content: bytes, images: NDArray[np.uint8], options: Int8Options, tell: Tell) -> bytes:
    """Make the INT8 graph of an FP32 one.

    The same arguments and library versions give the same bytes.

    Parameters
    ----------
    content
        A serialized ONNX model, its weights FP32 or stored as FP16.
    images
        uint8 RGB ``[n, height, width, 3]``: representative ones.
    tell
        Called with a line after each convolution, and for each that goes back to FP32.

    Returns
    -------
    bytes
        A serialized ONNX model: weights of the quantised convolutions INT8, other large
        ones stored as FP16.
    """
    model = with_fp32_weights(onnx_module().ModelProto.FromString(content))
    equalise(model.graph, channel_maxima(model, images), options.equalise)
    fitted = walk(model.graph, images, options, tell)
    kept, restored = without_costliest(model, fitted, images, options.restore_fp32)
    for name in restored:
        tell(f"{name} goes back to fp32")
    return serialized(inserted(model, kept))


def serialized(model: Any) -> bytes:
    """Store large FP32 weights as FP16, check the graph, and make bytes of it."""
    content: bytes = store_weights_as_fp16(model).SerializeToString(deterministic=True)
    return content
