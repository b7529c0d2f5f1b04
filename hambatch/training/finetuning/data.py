"""The input of fine-tuning: a batch of views for each step, and the validation images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.system.array_cache import Pair
from hambatch.training.dataset import labels_of
from hambatch.training.finetuning.sampling import adjustment, instances
from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.views import Views, plain_views

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]

_MIXTURE = 3
"""Stream of random numbers beside those of :mod:`hambatch.training.finetuning.sampling`."""


@dataclass(frozen=True)
class TuningData:
    """Images by sha256, and labels int64; of training and of validation."""

    views: Views
    train: Sequence[str]
    labels: NDArray[np.int64]
    val: Sequence[str]
    val_labels: NDArray[np.int64]

    def adjustment(self, options: TrainOptions) -> NDArray[np.float32]:
        """Give what is added to the logits in the loss: float32 ``[7]``."""
        tune = options.finetune
        return adjustment(self.labels, tune.balance, tune.logit_adjustment)

    def plain(self, sha256: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
        """Plain images, a batch at a time, decoded on the device that trains."""
        return self.views.batches(plain_views(sha256))

    def batches(self, done: int, options: TrainOptions) -> Iterator[Batch]:
        """Give the batches of all steps after the first ``done``.

        A step's batch depends on the seed and the step's number alone, so that a resumed run
        sees what one that was never interrupted sees.
        """
        size, seed, balance = options.batch_size, options.seed, options.finetune.balance
        for phase in phases(options.finetune, done):
            drawn = instances(self.labels, balance, seed, phase.first * size, phase.last * size)
            pairs = [Pair(self.train[i], int(view)) for i, view in zip(*drawn, strict=True)]
            labels = self.labels[drawn.images]
            batches = self.views.batches(pairs, side=phase.side, jitter=True)
            for k, images in enumerate(batches):
                yield images, labels[k * size : (k + 1) * size]


def tuning_data(
    files: Mapping[str, Path], train: pd.DataFrame, val: pd.DataFrame, options: TrainOptions
) -> TuningData:
    """Take training and validation images out of rows of a split table; none is opened.

    ``files`` gives the path of every image by sha256.
    """
    return TuningData(
        views=Views(files, options, options.finetune.side, options.batch_size),
        train=list(train["sha256"]),
        labels=labels_of(train["dx"]),
        val=list(val["sha256"]),
        val_labels=labels_of(val["dx"]),
    )


class Phase(NamedTuple):
    """Steps after the first ``first`` to ``last``, which see views of ``side`` pixels."""

    first: int
    last: int
    side: int


def phases(tune: FineTuneOptions, done: int) -> Iterator[Phase]:
    """Give what is left after ``done`` steps: crops first, whole views to the end."""
    change = round(tune.crop_share * tune.steps)
    for phase in (Phase(0, change, tune.crop_side), Phase(change, tune.steps, tune.side)):
        if max(done, phase.first) < phase.last:
            yield phase._replace(first=max(done, phase.first))


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
