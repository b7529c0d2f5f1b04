"""An endless sequence of views, balanced over classes, of which any part can be had at once.

It is made of rounds of as many views as there are training images. A round draws a
fixed number of each class; within a class, no image comes again before all have come.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.labels import CLASSES
from hambatch.training.balance import no_image_of

BALANCES = {"none": 1.0, "sqrt": 0.5, "full": 0.0}
"""The power of a class's images that it is drawn in proportion to."""

# What a generator draws, so that no two draw the same numbers.
_ORDER_OF_ROUND, _ORDER_OF_CLASS = 1, 2


class Instances(NamedTuple):
    """Places of training images and views from 1, int64 ``[n]`` each."""

    images: NDArray[np.int64]
    views: NDArray[np.int64]


def instances(
    labels: NDArray[np.int64], balance: str, seed: int, first: int, end: int
) -> Instances:
    """Give the part ``[first, end)`` of the sequence; a pure function of its arguments.

    An image's view is 1 the first time that it is drawn, then 2, and so on: no view
    comes twice.

    Parameters
    ----------
    labels
        int64 ``[images]``, indices of classes.

    Raises
    ------
    InputError
        If a class has no image.
    """
    size = len(labels)
    rounds = range(first // size, -(-end // size))
    drawn = [_round(labels, balance, seed, number) for number in rounds]
    at = slice(first - rounds.start * size, end - rounds.start * size)
    return Instances(*(np.concatenate(part)[at] for part in zip(*drawn, strict=True)))


def quotas(labels: NDArray[np.int64], balance: str) -> NDArray[np.int64]:
    """Share out a round of ``len(labels)`` views: int64 ``[7]``.

    Raises
    ------
    InputError
        If a class has no image.
    """
    counts = np.bincount(labels, minlength=len(CLASSES))
    if not counts.all():
        raise no_image_of(CLASSES[int(counts.argmin())])
    weights = counts ** BALANCES[balance]
    exact = len(labels) * weights / weights.sum()
    found: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    # What rounding left over goes to the largest remainders.
    for label in np.argsort(found - exact, kind="stable")[: len(labels) - found.sum()]:
        found[label] += 1
    return found


def _round(labels: NDArray[np.int64], balance: str, seed: int, number: int) -> Instances:
    images: list[NDArray[np.int64]] = []
    views: list[NDArray[np.int64]] = []
    for label, quota in enumerate(quotas(labels, balance)):
        of_class = np.flatnonzero(labels == label)
        passes, places = np.divmod(np.arange(number * quota, (number + 1) * quota), len(of_class))
        for done in np.unique(passes):
            draw = np.random.default_rng([_ORDER_OF_CLASS, seed, label, done])
            images.append(draw.permutation(of_class)[places[passes == done]])
        views.append(1 + passes)
    draw = np.random.default_rng([_ORDER_OF_ROUND, seed, number])
    order = draw.permutation(sum(map(len, views)))
    return Instances(np.concatenate(images)[order], np.concatenate(views)[order])
