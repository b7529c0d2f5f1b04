"""Which views the steps see: an endless sequence, balanced by class, and what corrects for it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.training.dataset import images_per_class
from hambatch.training.options import BALANCES

_ORDER_OF_ROUND, _ORDER_OF_CLASS = 1, 2
"""Streams of random numbers."""


class Instances(NamedTuple):
    """Places of training images and views from 1, int64 ``[n]`` each."""

    images: NDArray[np.int64]
    views: NDArray[np.int64]


def instances(
    labels: NDArray[np.int64], balance: str, seed: int, first: int, end: int
) -> Instances:
    """Give the part ``[first, end)`` of the sequence; a pure function of its arguments.

    An image's view is 1 the first time that it is drawn, then 2, and so on: no view
    comes twice. ``labels`` are int64 ``[images]``; InputError if a class has no image.
    """
    size = len(labels)
    rounds = range(first // size, -(-end // size))
    drawn = [_round(labels, balance, seed, number) for number in rounds]
    at = slice(first - rounds.start * size, end - rounds.start * size)
    return Instances(*(np.concatenate(part)[at] for part in zip(*drawn, strict=True)))


def quotas(labels: NDArray[np.int64], balance: str) -> NDArray[np.int64]:
    """Share out a round of ``len(labels)`` views: int64 ``[7]``; InputError if a class has none."""
    weights = images_per_class(labels) ** BALANCES[balance]
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


def adjustment(labels: NDArray[np.int64], balance: str, strength: float) -> NDArray[np.float32]:
    """Give what is added to the logits in the loss [1]_: float32 ``[7]``, 0 and less.

    A network learns how often it sees a class. If the loss adds ``strength`` times the logarithm
    of these shares, the network learns as much less of them, and its own scores, without the sum,
    lean less towards frequent classes. With 1 it scores as if all classes were equally frequent;
    with 0 nothing is added. Its images stay those of ``balance``.

    Parameters
    ----------
    labels
        int64 ``[images]`` of all training images, indices of classes.

    References
    ----------
    .. [1] Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021, arXiv:2007.07314
    """
    # A class of very few images may have no view in a round; it is counted with one.
    views = np.maximum(quotas(labels, balance), 1)
    added: NDArray[np.float32] = (strength * np.log(views / views.sum())).astype(np.float32)
    return added
