"""What every quantiser gets: the FP32 graph, images, and which layers stay FP32."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from hambatch.engines.backend_names import FP32
from hambatch.engines.loading import Engine
from hambatch.training.export.onnx_graph import with_fp32_weights


@dataclass(frozen=True)
class Task:
    """What every quantiser gets.

    Attributes
    ----------
    fp32
        The ONNX graph, with weights stored in FP32.
    images
        uint8 RGB ``[n, height, width, 3]``, to calibrate on.
    others
        Such images of the training part that are not among them, for accuracy control.
    layers
        Names of the convolutions and dense layers that hambatch's graph has in FP32.
    """

    fp32: Path
    images: np.ndarray
    others: np.ndarray
    layers: list[str]


def as_input(image: np.ndarray) -> dict[str, np.ndarray]:
    """Give one image as the graph takes it."""
    return {"images": image[None]}


def fp32_layers(int8_graph: Path) -> list[str]:
    """Find the convolutions and dense layers of a Q/DQ graph whose weights are not INT8."""
    graph = onnx.load(int8_graph).graph
    dequantised = {n.output[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    layers = [n for n in graph.node if n.op_type in {"Conv", "MatMul", "Gemm"}]
    return [n.name for n in layers if n.input[1] not in dequantised]


def save_fp32(engine: Engine, path: Path) -> None:
    """Save the engine's graph with weights in FP32, as the quantisers expect them, once."""
    if not path.exists():
        partial = path.with_suffix(".part")
        onnx.save(with_fp32_weights(onnx.load(engine.folder / engine.variant(FP32).file)), partial)
        partial.replace(path)
