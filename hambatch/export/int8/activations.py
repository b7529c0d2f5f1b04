"""INT8 codes of activations that are never negative: all 256 levels, zero-point 0.

``x >= 0`` is stored as ``x - 128 s``: codes -128 to 127 of scale ``s``. The convolution
that reads them takes the constant out again in its bias.
"""

import numpy as np
from numpy.typing import NDArray

LEVELS = 255
LOWEST = -128
SAMPLES = 300_000
SHARES = np.linspace(0.2, 1, 33)
"""Of the largest activation: what the highest code may stand for."""

CHUNK = 32
"""Images that are held in FP32 at a time."""

Activations = NDArray[np.float16]


def activation_scale(values: Activations, rng: np.random.Generator) -> np.float32:
    """Choose the scale of least squared error on 300,000 values drawn at random."""
    flat = values.reshape(-1)
    drawn = flat[rng.integers(0, flat.size, SAMPLES)].astype(np.float32)
    largest = float(values.max()) or 1.0
    candidates = largest * SHARES / LEVELS
    errors = [
        float(((np.clip(np.rint(drawn / scale), 0, LEVELS) * scale - drawn) ** 2).mean())
        for scale in candidates
    ]
    return np.float32(candidates[int(np.argmin(errors))])


def codes_of(values: Activations, scale: np.float32) -> NDArray[np.int8]:
    """Simulate what the graph computes of ``x``: the code of ``x - 128 s``."""
    out = np.empty(values.shape, np.int8)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK] * np.float32(1 / scale)
        np.rint(part, out=part)
        part += np.float32(LOWEST)
        out[start : start + CHUNK] = np.clip(part, LOWEST, LEVELS + LOWEST, out=part)
    return out
