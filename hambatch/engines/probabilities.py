"""From logits to the probabilities of a row: softmax, and the engine's temperature."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import Manifest

DECIMALS = 6


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Softmax of ``[n, 7]`` in float64; rows sum to 1 to rounding."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    weights = np.exp(shifted)
    probabilities: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return probabilities


def as_wanted(manifest: Manifest, calibration: bool) -> Manifest:
    """Leave the calibration out where it is switched off."""
    return manifest if calibration else replace(manifest, calibration=None)


def temperature_of(manifest: Manifest) -> float | None:
    """The fitted temperature; None where the engine has none."""
    return manifest.calibration.temperature if manifest.calibration else None


def tempered(probabilities: NDArray[np.float64], temperature: float | None) -> NDArray[np.float64]:
    """Raise ``[7]`` or ``[n, 7]`` to the power of 1 / temperature and normalise [1]_.

    That is the softmax of logits / temperature. The order stays, but two values that differ in
    their last bits may become equal: take the label from the argument, not from the result.
    With a temperature of None or 1 the argument itself comes back.

    References
    ----------
    .. [1] Guo et al., On Calibration of Modern Neural Networks, ICML (2017)
    """
    if temperature is None or temperature == 1:
        return probabilities
    # The logarithm of 0, and a quotient beyond any float, are both minus infinity: a power of 0.
    with np.errstate(divide="ignore", over="ignore"):
        logs = np.log(probabilities)
        powers = np.exp((logs - logs.max(axis=-1, keepdims=True)) / temperature)
    found: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return found


def widened(tolerance: float, temperature: float | None) -> float:
    """Scale a tolerance of uncalibrated probabilities to calibrated ones.

    A difference of logits moves the most uncertain probabilities most, and those 1 / temperature
    times as far; above 1, the tolerance stays.
    """
    return tolerance / min(temperature or 1.0, 1.0)


def compare(expected: NDArray[np.float64], found: NDArray[np.float64]) -> dict[str, Any]:
    """Differences between two tables of probabilities ``[n, 7]``."""
    difference = np.abs(expected - found)
    return {
        "images": len(expected),
        "max_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "label_flips": int((expected.argmax(1) != found.argmax(1)).sum()),
    }
