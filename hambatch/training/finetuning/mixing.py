"""Mixup: pictures of a batch blended in pairs, and their labels with them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.labels import CLASSES

# What a generator draws, so that no other draws the same numbers.
_MIXTURE = 3


class Mixture(NamedTuple):
    """What a step learns from.

    Attributes
    ----------
    images
        float32 ``[n, height, width, 3]``.
    targets
        float32 ``[n, 7]``: shares of the classes, each row sums to 1.
    """

    images: NDArray[np.float32]
    targets: NDArray[np.float32]


def mixed(
    images: NDArray[np.float32], labels: NDArray[np.int64], mixup: float, seed: int, number: int
) -> Mixture:
    """Blend every image of a batch with another, by shares of Beta(mixup, mixup) [1]_.

    Each keeps the larger share, so that a batch has as much of every class as was drawn for it.

    Parameters
    ----------
    mixup
        The distribution's parameter, 0 and more; with 0 nothing is blended, and labels are hard.
    number
        Of the step; what is drawn depends on it and the seed alone.

    References
    ----------
    .. [1] Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, arXiv:1710.09412
    """
    targets = np.eye(len(CLASSES), dtype=np.float32)[labels]
    if not mixup:
        return Mixture(images, targets)
    draw = np.random.default_rng([_MIXTURE, seed, number])
    drawn = draw.beta(mixup, mixup, len(images))
    share: NDArray[np.float32] = np.maximum(drawn, 1 - drawn).astype(np.float32)
    other = draw.permutation(len(images))
    weight = share[:, None, None, None]
    return Mixture(
        images * weight + images[other] * (1 - weight),
        targets * share[:, None] + targets[other] * (1 - share[:, None]),
    )
