"""ONNX Runtime's INT8 graphs, by static quantisation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantiser_task import Task, as_input

STRIDE = 8
"""Images whose activations ONNX Runtime holds at a time for a histogram."""


@dataclass(frozen=True)
class Way:
    """How ONNX Runtime quantises.

    ``layers`` ``same``: only the convolutions that hambatch's graph has in INT8; ``all``: all that
    it can. ``signed`` activations, as TensorRT wants them. ``reduced``: weights in 7 bits, so that
    no product saturates. ``method`` chooses an activation's scale.
    """

    layers: str = "same"
    signed: bool = False
    reduced: bool = True
    method: str = "MinMax"


def quantise(way: Way, task: Task, path: Path) -> None:
    """Make a Q/DQ graph, weights symmetric, a scale a channel; ranges are kept for the next."""
    from onnxruntime import quantization

    same, kinds = way.layers == "same", quantization.QuantType
    extra = {"ActivationSymmetric": way.signed, "WeightSymmetric": True, "QuantizeBias": False}
    if way.method != "MinMax":
        extra["CalibStridedMinMax"] = STRIDE
    quantization.quantize_static(
        str(task.fp32),
        str(path),
        reader_of(task),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["Conv"] if same else None,
        nodes_to_exclude=task.layers if same else [],
        activation_type=kinds.QInt8 if way.signed else kinds.QUInt8,
        weight_type=kinds.QInt8,
        per_channel=True,
        reduce_range=way.reduced,
        calibrate_method=quantization.CalibrationMethod[way.method],
        calibration_cache_path=task.fp32.with_name(f"ranges_{way.layers}_{way.method}.json"),
        extra_options=extra,
    )


def reader_of(task: Task) -> Any:
    """Give images to ONNX Runtime one at a time."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.set_range(0, len(task.images))

        def __len__(self) -> int:
            return len(task.images)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._rows = map(as_input, task.images[start_index:end_index])

        def get_next(self) -> Any:
            return next(self._rows, None)

    return Reader()
