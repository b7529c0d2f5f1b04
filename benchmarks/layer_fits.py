"""INT8 fits of all convolutions but the first, and graphs with any choice of them."""

from collections.abc import Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hambatch.training.export.int8.convolutions import convolutions
from hambatch.training.export.int8.equalisation import channel_maxima, equalise
from hambatch.training.export.int8.export import inserted, serialized
from hambatch.training.export.int8.fitting import Int8Convolution
from hambatch.training.export.int8.layerwise import Report, walk
from hambatch.training.export.onnx_graph import Weights
from hambatch.training.options import Int8Options

FIELDS = [field.name for field in fields(Int8Convolution)]


class LayerFits:
    """The equalised FP32 graph and its fits, kept in a folder; convolutions go by their names."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = onnx.load(folder / "equalised.onnx")
        stored = np.load(folder / "fits.npz")
        self._fits = {
            node.name: Int8Convolution(*(stored[f"{node.name}/{field}"] for field in FIELDS))
            for node in convolutions(self.model.graph)[1:]
        }

    def graph(self, fp32: Collection[str]) -> bytes:
        """Put a graph together in which these convolutions, and the first, are FP32."""
        outputs = {node.name: node.output[0] for node in convolutions(self.model.graph)}
        kept = {outputs[name]: fit for name, fit in self._fits.items() if name not in fp32}
        return serialized(inserted(self.model, kept))

    def multiplications(self) -> dict[str, int]:
        """Count the products of each convolution for one image."""
        shaped = onnx.shape_inference.infer_shapes(self.model).graph
        sides = {
            value.name: [side.dim_value for side in value.type.tensor_type.shape.dim[2:]]
            for value in shaped.value_info
        }
        weights = Weights(self.model.graph)
        return {
            node.name: int(weights.read(node.input[1]).size * np.prod(sides[node.output[0]]))
            for node in convolutions(self.model.graph)
        }


def keep_fits(
    model: Any, images: np.ndarray, options: Int8Options, folder: Path, report: Report
) -> None:
    """Equalise the FP32 graph and fit all but the first, as an export does; ``model`` changes."""
    equalise(model.graph, channel_maxima(model, images), options.equalise)
    names = {node.output[0]: node.name for node in convolutions(model.graph)}
    found = walk(model.graph, images, options, report)
    onnx.save(model, folder / "equalised.onnx")
    arrays = {
        f"{names[output]}/{field}": np.asarray(getattr(fit, field))
        for output, fit in found.items()
        for field in FIELDS
    }
    part = folder / "fits.part.npz"
    np.savez(part, **arrays)
    part.replace(folder / "fits.npz")
