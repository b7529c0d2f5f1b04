"""From logits to the probabilities of the output, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

DECIMALS = 6


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Softmax of ``[n, 7]`` in float64; rows sum to 1 to rounding."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    weights = np.exp(shifted)
    probabilities: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return probabilities
