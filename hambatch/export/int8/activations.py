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

Floats = NDArray[np.float32]


def activation_scale(values: Floats, rng: np.random.Generator) -> np.float32:
    """Choose the scale of least squared error on 300,000 values drawn at random."""
    flat = values.reshape(-1)
    drawn = flat[rng.integers(0, flat.size, SAMPLES)]
    largest = float(values.max()) or 1.0
    candidates = largest * SHARES / LEVELS
    errors = [
        float(((np.clip(np.rint(drawn / scale), 0, LEVELS) * scale - drawn) ** 2).mean())
        for scale in candidates
    ]
    return np.float32(candidates[int(np.argmin(errors))])


def shifted_and_quantised(values: Floats, scale: np.float32) -> Floats:
    """Simulate what the graph computes of ``x``: ``x - 128 s`` on the grid, as float32."""
    out = values * np.float32(1 / scale)
    np.rint(out, out=out)
    out += np.float32(LOWEST)
    np.clip(out, LOWEST, LEVELS + LOWEST, out=out)
    out *= scale
    return out


def padding_value(scale: np.float32) -> np.float32:
    """Give what ``x = 0`` is stored as."""
    return np.float32(LOWEST * scale)
