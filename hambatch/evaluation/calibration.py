"""Whether probabilities mean what they say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.probabilities import DECIMALS
from hambatch.evaluation.sample import Figures, Measure, Sample, number, ratio, weighted_mean

BINS = 15

SMALLEST = 10.0**-DECIMALS
"""What a probability of 0 counts as in the log loss: the last decimal of a table."""


def calibration_measure(sample: Sample) -> Measure:
    """Expected calibration errors [1]_, Brier score [2]_ and log loss, in every draw.

    The confidence is the probability of the predicted class. ``ece`` has ``BINS``
    bins of equal width; ``ece_equal_mass`` has ``BINS`` bins with equally many
    images of the whole sample, whose bounds stay where they are in every draw.
    ``brier`` sums the squared errors over the classes: 0 to 2.

    References
    ----------
    .. [1] Guo et al., On Calibration of Modern Neural Networks, ICML (2017)
    .. [2] Brier, Monthly Weather Review 78:1-3 (1950)
    """
    gap = sample.correct - sample.confidence
    width = _one_hot(equal_width_bins(sample.confidence), gap)
    mass = _one_hot(equal_mass_bins(sample.confidence), gap)
    wanted = np.eye(sample.probabilities.shape[1])[sample.truth]
    squared = ((sample.probabilities - wanted) ** 2).sum(axis=1)
    p_truth = sample.probabilities[np.arange(sample.size), sample.truth]
    loss = -np.log(np.maximum(p_truth, SMALLEST))

    def measure(weights: NDArray[np.float64]) -> Figures:
        total = weights.sum(axis=1)
        return {
            ("ece",): ratio(np.abs(weights @ width).sum(axis=1), total),
            ("ece_equal_mass",): ratio(np.abs(weights @ mass).sum(axis=1), total),
            ("brier",): weighted_mean(weights, squared),
            ("log_loss",): weighted_mean(weights, loss),
        }

    return measure


def gap_measure(sample: Sample) -> Measure:
    """Accuracy minus confidence in each bin of both calibration errors, times the bin's share.

    In every draw: float64 ``[draws, 15]``, whose absolute values sum up to the error.
    """
    gap = sample.correct - sample.confidence
    columns = {
        ("ece",): _one_hot(equal_width_bins(sample.confidence), gap),
        ("ece_equal_mass",): _one_hot(equal_mass_bins(sample.confidence), gap),
    }

    def measure(weights: NDArray[np.float64]) -> Figures:
        total = weights.sum(axis=1, keepdims=True)
        return {place: ratio(weights @ values, total) for place, values in columns.items()}

    return measure


def reliability_measure(sample: Sample) -> Measure:
    """Accuracy in each of the bins of equal width, under its number."""
    bins = equal_width_bins(sample.confidence)
    inside = _one_hot(bins, np.ones(sample.size))
    right = _one_hot(bins, sample.correct.astype(np.float64))

    def measure(weights: NDArray[np.float64]) -> Figures:
        accuracy = ratio(weights @ right, weights @ inside)
        return {(str(k),): accuracy[:, k] for k in range(BINS)}

    return measure


def reliability_bins(sample: Sample) -> list[dict[str, Any]]:
    """Describe the bins of equal width, the lowest confidence first.

    Returns
    -------
    For each bin ``low`` (outside) and ``high`` (inside), ``n``, the mean
    ``confidence`` and the ``accuracy`` (None where ``n`` is 0).
    """
    inside = _one_hot(equal_width_bins(sample.confidence), np.ones(sample.size))
    n = inside.sum(axis=0)
    confidence = ratio(sample.confidence @ inside, n)
    accuracy = ratio(sample.correct @ inside, n)
    return [
        {
            "low": k / BINS,
            "high": (k + 1) / BINS,
            "n": int(n[k]),
            "confidence": number(confidence[k]),
            "accuracy": number(accuracy[k]),
        }
        for k in range(BINS)
    ]


def equal_width_bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of each image's bin, 0 to 14; a bound belongs to the bin below it."""
    # Rounded, or 0.2 * 15 might lie above 3.
    return (np.ceil((confidence * BINS).round(9)) - 1).clip(0, BINS - 1).astype(np.int64)


def equal_mass_bins(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of each image's bin, 0 to 14; equal confidences share a bin."""
    bounds = np.quantile(confidence, np.arange(1, BINS) / BINS)
    return np.searchsorted(bounds, confidence, side="left")


def _one_hot(bins: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put each image's value into the column of its bin: float64 ``[n, 15]``."""
    columns = np.zeros((bins.size, BINS))
    columns[np.arange(bins.size), bins] = values
    return columns
