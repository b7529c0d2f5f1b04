"""The input of fine-tuning: a batch of views for each step, and the validation images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.system.array_cache import Pair
from hambatch.training.dataset import Dataset, labels_of
from hambatch.training.finetuning.sampling import Pool, adjustment, instances
from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.views import Views, plain_views


class Batch(NamedTuple):
    """What a step sees.

    Attributes
    ----------
    images
        uint8 RGB ``[n, side, side, 3]``.
    labels
        int64 ``[n]``.
    added
        float32 ``[n, 7]``, to the logits in the loss.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    added: NDArray[np.float32]


VIEWS_APART = 1_000_000
"""More than an image has views in a run."""

_MIXTURE, _STYLE = 3, 4
"""Streams of random numbers beside those of :mod:`hambatch.training.finetuning.sampling`."""


@dataclass(frozen=True)
class TuningData:
    """Images by sha256, and what is known of them; of training and of validation.

    Attributes
    ----------
    train, pool
        Images of all sources, those of the split table first.
    val, val_labels
        Images of the split table; labels int64.
    blurred
        Sources whose images are blurred at the network's side.
    """

    views: Views
    train: Sequence[str]
    pool: Pool
    val: Sequence[str]
    val_labels: NDArray[np.int64]
    blurred: frozenset[int] = frozenset()

    def plain(self, sha256: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
        """Plain images, a batch at a time, decoded on the device that trains."""
        return self.views.batches(plain_views(sha256))

    def batches(self, done: int, options: TrainOptions) -> Iterator[Batch]:
        """Give the batches of all steps after the first ``done``.

        A step's batch depends on the seed and the step's number alone, so that a resumed run
        sees what one that was never interrupted sees. InputError if a class has no image.
        """
        tune, size, seed = options.finetune, options.batch_size, options.seed
        for phase in phases(tune, 0):
            # A class that only blurred images have is refused here, not at the step that lacks it.
            self._pool_of(phase)[0].masses()
        for phase in phases(tune, done):
            pool, places, first_view = self._pool_of(phase)
            begin, end = phase.first * size, phase.last * size
            images, views = instances(pool, tune.balance, seed, begin, end)
            images, views = places[images], views + first_view
            pairs = [Pair(self.train[i], int(view)) for i, view in zip(images, views, strict=True)]
            by_source = tune.extras.adjust_by == "source"
            adjustments = adjustment(pool, tune.balance, tune.logit_adjustment, by_source)
            labels, added = self.pool.labels[images], adjustments[self.pool.sources[images]]
            batches = self.views.batches(pairs, side=phase.side, jitter=True)
            for k, pixels in enumerate(batches):
                at = slice(k * size, (k + 1) * size)
                yield Batch(pixels, labels[at], added[at])

    def _pool_of(self, phase: "Phase") -> tuple[Pool, NDArray[np.int64], int]:
        """Give the images of a phase, their places among all, and how far its views are moved.

        Without the blurred sources the sequence is another; its views are none of the one before.
        """
        if phase.blurred or not self.blurred:
            return self.pool, np.arange(len(self.train)), 0
        sharp = np.flatnonzero(~np.isin(self.pool.sources, list(self.blurred)))
        labels, sources, weights = self.pool
        return Pool(labels[sharp], sources[sharp], weights), sharp, VIEWS_APART


def tuning_data(
    dataset: Dataset, train: pd.DataFrame, val: pd.DataFrame, options: TrainOptions
) -> TuningData:
    """Take training and validation images out of rows of a split table; none is opened.

    The images of the dataset's other sources are trained on as well.
    """
    tune = options.finetune
    tables = [train, *(source.images for source in dataset.extras)]
    sources = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    weights = np.array([1.0, *(source.about.weight for source in dataset.extras)])
    return TuningData(
        views=Views(dataset.files, options, tune.side, options.batch_size),
        train=[sha256 for table in tables for sha256 in table["sha256"]],
        pool=Pool(np.concatenate([labels_of(t["dx"]) for t in tables]), sources, weights),
        val=list(val["sha256"]),
        val_labels=labels_of(val["dx"]),
        blurred=frozenset(
            k for k, source in enumerate(dataset.extras, 1) if tune.is_blurred(source.about)
        ),
    )


class Phase(NamedTuple):
    """Steps after the first ``first`` to ``last``.

    They see views of ``side`` pixels, and images of sources that are ``blurred`` at the network's
    side or not.
    """

    first: int
    last: int
    side: int
    blurred: bool = True


def phases(tune: FineTuneOptions, done: int) -> Iterator[Phase]:
    """Give what is left after ``done`` steps: crops first, whole views to the end."""
    crops = round(tune.crop_share * tune.steps)
    edges = sorted({0, crops, tune.blurred_until, tune.steps})
    for first, last in pairwise(edges):
        if max(done, first) < last:
            side = tune.crop_side if last <= crops else tune.side
            yield Phase(max(done, first), last, side, last <= tune.blurred_until)


def pixels_between(tune: FineTuneOptions, done: int, last: int) -> float:
    """Add up what the steps after ``done`` to ``last`` see, in whole views a batch."""
    return sum(
        (min(phase.last, last) - phase.first) * (phase.side / tune.side) ** 2
        for phase in phases(tune, done)
        if phase.first < last
    )


class Mixture(NamedTuple):
    """Images float32 ``[n, height, width, 3]``, and shares of the classes float32 ``[n, 7]``."""

    images: NDArray[np.float32]
    targets: NDArray[np.float32]


def mixed(
    images: NDArray[np.float32], labels: NDArray[np.int64], mixup: float, seed: int, number: int
) -> Mixture:
    """Blend every image of a batch with another, by shares of Beta(mixup, mixup) [1]_.

    Each keeps the larger share, so that a batch has as much of every class as was drawn for it.
    With 0 nothing is blended, and labels are hard. Shares depend on seed and ``number`` alone.

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


def restyled(
    images: NDArray[np.float32], share: float, seed: int, number: int
) -> NDArray[np.float32]:
    """Give some images of a batch the means and spreads of another one's colour channels [1]_.

    Each takes them in part: from none to all, uniformly. The other image may be of another
    source, so that a network sees the structures of one camera in the colours of another, as with
    the statistics of its features [2]_.

    Parameters
    ----------
    images
        float32 ``[n, height, width, 3]``, as ``preprocess`` leaves them.
    share
        Of the images that are changed; which ones depends on seed and ``number`` alone.

    References
    ----------
    .. [1] Reinhard et al., Color transfer between images, IEEE Computer Graphics and Applications
       21 (2001), doi:10.1109/38.946629
    .. [2] Zhou et al., Domain Generalization with MixStyle, ICLR 2021, arXiv:2104.02008
    """
    if not share:
        return images
    draw = np.random.default_rng([_STYLE, seed, number])
    chosen = np.flatnonzero(draw.random(len(images)) < share)
    other = draw.permutation(len(images))[chosen]
    part = draw.random(len(images))[chosen, None, None, None].astype(np.float32)
    means = images.mean(axis=(1, 2), keepdims=True)
    spreads = images.std(axis=(1, 2), keepdims=True) + 1.0
    mean = means[chosen] + part * (means[other] - means[chosen])
    factor = 1 + part * (spreads[other] / spreads[chosen] - 1)
    found = images.copy()
    found[chosen] = (images[chosen] - means[chosen]) * factor + mean
    return found
