"""Which views the steps see: an endless sequence, balanced by class, and what corrects for it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.training.options import BALANCES

_ORDER_OF_ROUND, _ORDER_OF_CLASS = 1, 2
"""Streams of random numbers."""

LEAST_SHARE = 0.01
"""Of a class among the views of one source: what it is counted with where it has none.

The same order as the part of a smoothed label that a class gets, so that the loss does not push the
scores of a class up because its source lacks it.
"""


class Pool(NamedTuple):
    """Training images: labels and sources, int64 ``[images]``, and the sources' weights.

    An image counts as often as the weight of its source says; source 0 is the split table, of
    weight 1.
    """

    labels: NDArray[np.int64]
    sources: NDArray[np.int64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, labels: NDArray[np.int64]) -> "Pool":
        """Make one of the split table's images alone."""
        return cls(labels, np.zeros_like(labels), np.ones(1))

    def masses(self) -> NDArray[np.float64]:
        """Add up the images' weights: float64 ``[sources, 7]``; InputError if a class has none."""
        counts = np.zeros((len(self.weights), len(CLASSES)))
        np.add.at(counts, (self.sources, self.labels), 1)
        found: NDArray[np.float64] = counts * self.weights[:, None]
        if not found.any(axis=0).all():
            missing = CLASSES[int(found.sum(axis=0).argmin())]
            raise InputError(
                f"the training part has no image of class {missing}.\n"
                "Next: hambatch prepare, with smaller val and test fractions, or fewer --folds"
            )
        return found

    @property
    def round(self) -> int:
        """Count the views of a round."""
        return max(1, round(float(self.weights[self.sources].sum())))


class Instances(NamedTuple):
    """Places of training images and views from 1, int64 ``[n]`` each."""

    images: NDArray[np.int64]
    views: NDArray[np.int64]


def instances(pool: Pool, balance: str, seed: int, first: int, end: int) -> Instances:
    """Give the part ``[first, end)`` of the sequence; a pure function of its arguments.

    An image's view is 1 the first time that it is drawn, then 2, and so on: no view
    comes twice. InputError if a class has no image.
    """
    size = pool.round
    rounds = range(first // size, -(-end // size))
    drawn = [_round(pool, balance, seed, number) for number in rounds]
    at = slice(first - rounds.start * size, end - rounds.start * size)
    return Instances(*(np.concatenate(part)[at] for part in zip(*drawn, strict=True)))


def quotas(pool: Pool, balance: str) -> NDArray[np.int64]:
    """Share out the views of a round: int64 ``[sources, 7]``; InputError if a class has none.

    First among the classes, by ``balance``; then those of a class among the sources, by the weight
    of their images of it.
    """
    masses = pool.masses()
    of_class = _shared(pool.round, masses.sum(axis=0) ** BALANCES[balance])
    parts = [_shared(int(views), mass) for views, mass in zip(of_class, masses.T, strict=True)]
    return np.stack(parts, axis=1)


def _shared(views: int, weights: NDArray[np.float64]) -> NDArray[np.int64]:
    exact = views * weights / weights.sum()
    found: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    # What rounding left over goes to the largest remainders.
    for place in np.argsort(found - exact, kind="stable")[: views - found.sum()]:
        found[place] += 1
    return found


def _round(pool: Pool, balance: str, seed: int, number: int) -> Instances:
    images: list[NDArray[np.int64]] = []
    views: list[NDArray[np.int64]] = []
    # Class by class, and within a class source by source.
    for (label, source), quota in np.ndenumerate(quotas(pool, balance).T):
        if not quota:
            continue
        these = np.flatnonzero((pool.labels == label) & (pool.sources == source))
        passes, places = np.divmod(np.arange(number * quota, (number + 1) * quota), len(these))
        # As the draws were before there were sources, for the first.
        own = [source] if source else []
        for done in np.unique(passes):
            draw = np.random.default_rng([_ORDER_OF_CLASS, seed, label, int(done), *own])
            images.append(draw.permutation(these)[places[passes == done]])
        views.append(1 + passes)
    draw = np.random.default_rng([_ORDER_OF_ROUND, seed, number])
    order = draw.permutation(sum(map(len, views)))
    return Instances(np.concatenate(images)[order], np.concatenate(views)[order])


def adjustment(
    pool: Pool, balance: str, strength: float, by_source: bool = False
) -> NDArray[np.float32]:
    """Give what is added to the logits in the loss [1]_: float32 ``[sources, 7]``, 0 and less.

    A network learns how often it sees a class. If the loss adds ``strength`` times the logarithm
    of these shares, the network learns as much less of them, and its own scores, without the sum,
    lean less towards frequent classes. With 1 it scores as if all classes were equally frequent;
    with 0 nothing is added. Its images stay those of ``balance``.

    All sources have the shares of all views; ``by_source`` each has its own. A network that knows
    a camera by its images then learns less of how frequent the classes are there.

    References
    ----------
    .. [1] Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021, arXiv:2007.07314
    """
    drawn = quotas(pool, balance)
    if by_source:
        floor = np.maximum(LEAST_SHARE * drawn.sum(axis=1, keepdims=True), 1)
        views = np.maximum(drawn, floor)
    else:
        # A class of very few images may have no view in a round; it is counted with one.
        views = np.maximum(drawn.sum(axis=0, keepdims=True), 1).repeat(len(drawn), axis=0)
    shares = views / views.sum(axis=1, keepdims=True)
    added: NDArray[np.float32] = (strength * np.log(shares)).astype(np.float32)
    return added
