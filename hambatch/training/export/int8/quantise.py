"""From an FP32 graph and images to the INT8 graph."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.training.export.int8.equalisation import channel_maxima, equalise
from hambatch.training.export.int8.fitting import Int8Convolution
from hambatch.training.export.int8.insertion import insert
from hambatch.training.export.int8.layerwise import Tell, walk
from hambatch.training.export.int8.onnx_parts import onnx_module, with_fp32_weights
from hambatch.training.export.int8.running import logits_of
from hambatch.training.export.keras_to_onnx import store_weights_as_fp16
from hambatch.training.options import Int8Options

COMPARED_ON = 256
"""Images."""


Fitted = dict[str, Int8Convolution]


def without_costliest(
    model: Any, fitted: Fitted, images: NDArray[np.uint8], count: int
) -> tuple[Fitted, list[str]]:
    """Leave out the ``count`` convolutions that each, alone in FP32, bring the logits nearest.

    Parameters
    ----------
    model
        The FP32 graph as it was fitted; it stays as it is.
    images
        uint8 RGB ``[n, height, width, 3]``; up to 256 of them, evenly spread, are scored
        once for every convolution.

    Returns
    -------
    tuple
        What is left, and the names of what is not, the costliest first.
    """
    if not count:
        return fitted, []
    some = images[np.linspace(0, len(images) - 1, min(COMPARED_ON, len(images))).astype(int)]
    wanted = logits_of(model.SerializeToString(), some)
    errors = {}
    for name in fitted:
        others = {other: done for other, done in fitted.items() if other != name}
        found = logits_of(inserted(model, others).SerializeToString(), some)
        errors[name] = float(((found - wanted) ** 2).mean())
    costliest = sorted(errors, key=errors.__getitem__)[:count]
    return {name: done for name, done in fitted.items() if name not in costliest}, costliest


def inserted(model: Any, fitted: Mapping[str, Int8Convolution]) -> Any:
    """Make a copy of the graph in which these convolutions are INT8."""
    copy = onnx_module().ModelProto()
    copy.CopyFrom(model)
    insert(copy.graph, fitted)
    return copy


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
