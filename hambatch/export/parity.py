"""How far the ONNX graph is from the Keras network, on real images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError
from hambatch.require import require
from hambatch.training.network import preprocess

MIN_IMAGES = 8
BATCH_SIZE = 16


@dataclass(frozen=True)
class Limits:
    """The largest difference of any probability, and of how many labels."""

    max_difference: float
    label_flips: int = 0


FP32_LIMITS = Limits(max_difference=1e-4)
FP16_STORED_LIMITS = Limits(max_difference=2e-3)


def check_parity(network: Any, onnx_path: Path, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Measure an ONNX graph against Keras; nothing is refused but too few images.

    Parameters
    ----------
    network
        The Keras network of :func:`hambatch.training.network.join`.
    images
        uint8 RGB ``[n, side, side, 3]``, n >= 8.

    Returns
    -------
    dict
        ``images``, ``max_difference`` and ``mean_difference`` (absolute, of
        softmax probabilities), ``label_flips``.
    """
    expected = keras_probabilities(network, images)
    return compare(expected, openvino_probabilities(onnx_path.read_bytes(), images))


def keras_probabilities(network: Any, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Softmax of the reference: float64 ``[n, 7]``.

    Raises
    ------
    EngineError
        If there are fewer than 8 images: too few to call two models equal.
    """
    if len(images) < MIN_IMAGES:
        raise EngineError(
            f"the export is checked on real images: {len(images)} given, "
            f"wanted at least {MIN_IMAGES}.\nNext: name a folder with more images"
        )
    parts = [
        np.asarray(
            network(preprocess(images[start : start + BATCH_SIZE]), training=False)["logits"]
        )
        for start in range(0, len(images), BATCH_SIZE)
    ]
    return _softmax(np.concatenate(parts))


def openvino_probabilities(content: bytes, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Softmax of a serialized ONNX model, run in FP32 on the CPU: float64 ``[n, 7]``."""
    openvino = require("openvino", extra="", purpose="the check of an export")
    core = openvino.Core()
    # Without the hint some CPUs would compute in BF16.
    compiled = core.compile_model(
        core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    parts = [
        compiled(images[start : start + BATCH_SIZE])["logits"].copy()
        for start in range(0, len(images), BATCH_SIZE)
    ]
    return _softmax(np.concatenate(parts))


def compare(expected: NDArray[np.float64], found: NDArray[np.float64]) -> dict[str, Any]:
    """Differences between two tables of probabilities ``[n, 7]``."""
    difference = np.abs(expected - found)
    return {
        "images": len(expected),
        "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "label_flips": int((expected.argmax(1) != found.argmax(1)).sum()),
    }


def refuse_beyond(limits: Limits, measured: dict[str, Any], graph: str) -> None:
    """Raise unless the measured differences are within the limits.

    Raises
    ------
    EngineError
        If a limit is passed, or the difference is not a number.
    """
    near = measured["max_difference"] <= limits.max_difference  # False for NaN
    if near and measured["label_flips"] <= limits.label_flips:
        return
    raise EngineError(
        f"the {graph} graph does not compute what Keras computes: on {measured['images']} images "
        f"probabilities differ by up to {measured['max_difference']:.2e} "
        f"(wanted {limits.max_difference:.0e}) and {measured['label_flips']} labels change "
        f"(wanted {limits.label_flips}).\n"
        "Next: pip install 'hambatch[train]' for the versions that the export was tested with, "
        "then export again"
    )


def _softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    shifted = np.asarray(logits, np.float64)
    powers = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
