"""Confidence intervals that know that images of one lesion are not independent."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.metrics import balanced_accuracy
from hambatch.labels import CLASSES

RESAMPLES = 2000
LEVEL = 0.95


def intervals(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: Sequence[str],
    seed: int = 0,
) -> dict[str, Any]:
    """Percentile bootstrap of accuracy and balanced accuracy, resampling groups.

    Parameters
    ----------
    truth, predicted
        Class indices ``[n]``.
    groups
        Length n: the lesion of each image, or the image itself where lesions
        are not known.

    Returns
    -------
    dict
        ``{"accuracy": [low, high], "balanced_accuracy": [low, high], ...}``
        at 95 %.

    References
    ----------
    .. [1] Field and Welsh, J. R. Statist. Soc. B 69:369 (2007), on resampling
       clusters.
    """
    matrices = _matrix_of_each_group(truth, predicted, groups)
    count = len(matrices)
    weights = np.random.default_rng(seed).multinomial(
        count, np.full(count, 1 / count), size=RESAMPLES
    )
    resampled = (weights @ matrices).reshape(RESAMPLES, len(CLASSES), len(CLASSES))
    accuracy = np.trace(resampled, axis1=1, axis2=2) / resampled.sum(axis=(1, 2))
    return {
        "level": LEVEL,
        "resamples": RESAMPLES,
        "groups": count,
        "accuracy": _interval(accuracy),
        "balanced_accuracy": _interval(balanced_accuracy(resampled)),
    }


def _matrix_of_each_group(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], groups: Sequence[str]
) -> NDArray[np.float64]:
    _, group = np.unique(np.asarray(groups, object).astype(str), return_inverse=True)
    cells = len(CLASSES) ** 2
    flat = group * cells + truth * len(CLASSES) + predicted
    counts = np.bincount(flat, minlength=(group.max() + 1) * cells)
    return counts.reshape(-1, cells).astype(np.float64)


def _interval(values: NDArray[np.float64]) -> list[float]:
    tail = (1 - LEVEL) / 2
    return [float(value) for value in np.quantile(values, [tail, 1 - tail])]
