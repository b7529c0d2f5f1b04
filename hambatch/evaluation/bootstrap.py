"""How far the figures would wander on another sample of lesions."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.labels import CLASSES

RESAMPLES = 1000
LEVEL = 0.95


def bootstrap_intervals(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: ArrayLike | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Any]:
    """Percentile bootstrap intervals of accuracy and balanced accuracy [1]_.

    Photographs of one lesion are not independent, so whole groups are drawn,
    as many as there are, with replacement. A draw without any image of some
    class has a balanced accuracy over the others.

    Parameters
    ----------
    truth, predicted
        int64 ``[n]``, n > 0: positions in ``CLASSES``.
    groups
        ``[n]``: the lesion of each image; None if every image is its own.
    resamples
        Number of draws.
    level
        Share of the draws inside an interval, 0 < level < 1.
    seed
        The same seed gives the same intervals, in whatever order the images come.

    Returns
    -------
    ``accuracy`` and ``balanced_accuracy``, each ``[low, high]``; ``level``,
    ``resamples``, ``seed``; ``groups``, how many there are.

    References
    ----------
    .. [1] Field, Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B
       69:369-390 (2007), doi:10.1111/j.1467-9868.2007.00593.x
    """
    patterns, frequency = _patterns(truth, predicted, groups)
    total = int(frequency.sum())
    draws = np.random.default_rng(seed).multinomial(total, frequency / total, size=resamples)
    hits, support = np.split(draws @ patterns, 2, axis=1)
    present = support > 0
    sensitivity = np.divide(hits, support, out=np.zeros(hits.shape), where=present)
    tail = (1 - level) / 2
    ends = [tail, 1 - tail]
    accuracy = hits.sum(axis=1) / support.sum(axis=1)
    balanced_accuracy = sensitivity.sum(axis=1) / present.sum(axis=1)
    return {
        "accuracy": np.quantile(accuracy, ends).tolist(),
        "balanced_accuracy": np.quantile(balanced_accuracy, ends).tolist(),
        "level": level,
        "resamples": resamples,
        "seed": seed,
        "groups": total,
    }


def _patterns(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], groups: ArrayLike | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct outcomes of a group, and how many groups have each.

    An outcome is int64 ``[14]``: correct images of each class, then images of
    each class. Most lesions share one of few outcomes (a single nevus, called
    right), and drawing outcomes with their frequencies is drawing groups: it
    gives the same distribution from a far smaller table.
    """
    count = len(CLASSES)
    if groups is None:
        group = np.arange(truth.size)
    else:
        group = np.unique(np.asarray(groups), return_inverse=True)[1]
    outcomes = np.zeros((int(group.max()) + 1, 2 * count), np.int64)
    np.add.at(outcomes, (group, truth), truth == predicted)
    np.add.at(outcomes, (group, count + truth), 1)
    return np.unique(outcomes, axis=0, return_counts=True)
