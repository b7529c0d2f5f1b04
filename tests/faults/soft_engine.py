"""A tiny engine whose probabilities tell pictures apart, and the same sums again in NumPy.

The second way from bytes to probabilities shares neither DALI nor OpenVINO nor any
index with a run: what it says about a file can be about no other one.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import Manifest, Variant
from hambatch.pipelines.pillow_lane import resize_linear
from tests.conftest import write_tiny_graph

Values = NDArray[np.float64]

TEMPERATURE = 32.0
"""At 1 the tiny graph is certain of everything, and certain answers look alike. At 32 any
two of 300 generated pictures differ by 3e-3, and the two ways of one picture by 4e-5."""

DECODED_AT_MOST = 20_000_000
"""Pixels: a header that claims more is not worth a second opinion."""


def write_soft_engine(folder: Path) -> Path:
    """Write the engine into a new folder."""
    folder.mkdir(parents=True)
    write_tiny_graph(folder / "model.onnx", temperature=TEMPERATURE)
    variants = (Variant("fp32", "model.onnx"),)
    write_manifest(folder, Manifest("soft", "1", {}, variants))
    return folder


class SecondOpinion:
    """Probabilities of single files by Pillow and NumPy."""

    def __init__(self, engine: Path) -> None:
        import onnx

        graph = onnx.load(engine / "model.onnx").graph
        (weights,) = (w for w in graph.initializer if w.name == "to_logits")
        self._weights = onnx.numpy_helper.to_array(weights).astype(np.float64)

    def of(self, content: bytes) -> Values | None:
        """Seven probabilities, or None where Pillow does not decode the bytes."""
        pixels = decoded(content)
        if pixels is None:
            return None
        blocks = resize_linear(pixels, 224, 224).reshape(14, 16, 14, 16, 3).mean((1, 3))
        logits = blocks.transpose(2, 0, 1).reshape(-1) @ self._weights
        shares = np.exp(logits - logits.max())
        probabilities: Values = shares / shares.sum()
        return probabilities


def decoded(content: bytes) -> NDArray[np.uint8] | None:
    """Upright RGB pixels by Pillow, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
                if image.width * image.height > DECODED_AT_MOST:
                    return None
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
