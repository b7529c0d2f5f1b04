"""From logits to the probabilities of the output, in float64."""

import numpy as np
from numpy.typing import NDArray

DECIMALS = 6


def calibrated(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Softmax of ``logits / temperature`` (Guo et al., ICML 2017), ``[n, 7]`` float64.

    Rows sum to 1 to rounding.
    """
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    weights = np.exp(scaled)
    probabilities: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return probabilities
