"""A few real images, decoded as scoring decodes them, to compare two models on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.keras_network import preprocess
from hambatch.backends.openvino_graph import BATCH_SIZE, openvino_probabilities
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.engines.probabilities import compare, softmax
from hambatch.errors import EngineError, InputError
from hambatch.pipelines.decode import decode

MIN_IMAGES = 8


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
        The Keras network of :func:`hambatch.backends.keras_network.join`.
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
    return softmax(np.concatenate(parts))


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


SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


COUNT = 64


def read_images(folder: Path, spec: InputSpec, how: Preprocessing) -> NDArray[np.uint8]:
    """Decode and resize the first 64 images below ``folder``, in sorted order, on the CPU.

    Returns
    -------
    NDArray
        uint8 RGB ``[n, height, width, 3]``, 8 <= n <= 64.

    Raises
    ------
    InputError
        If there are fewer than 8 images, or one cannot be decoded.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:COUNT]
    if len(paths) < MIN_IMAGES:
        raise InputError(
            f"{folder} holds {len(paths)} JPEG or PNG images, wanted at least {MIN_IMAGES}.\n"
            "Next: name a folder with more images, or make some: hambatch samples DIR"
        )
    return decode(paths, spec, how)
