"""Giving back to FP32 the convolutions whose codes disturb the logits most."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.export.int8.fitting import Int8Convolution
from hambatch.export.int8.insertion import insert
from hambatch.export.int8.onnx_parts import onnx_module
from hambatch.export.int8.running import logits_of

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
