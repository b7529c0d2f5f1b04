"""What fine-tuning is fed: batches of views step after step, and the validation images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.system.array_cache import Pair
from hambatch.system.files import sha256_of_bytes
from hambatch.training.dataset import labels_of
from hambatch.training.finetuning.sampling import adjustment, instances
from hambatch.training.finetuning.views import Phase, Pictures, phases
from hambatch.training.options import TrainOptions

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class TuningData:
    """Images by sha256, and labels int64; of training and of validation."""

    pictures: Pictures
    train: Sequence[str]
    labels: NDArray[np.int64]
    val: Sequence[str]
    val_labels: NDArray[np.int64]

    @property
    def images_sha256(self) -> str:
        """Of the images of both, in their order."""
        return sha256_of_bytes("\n".join([*self.train, "", *self.val]).encode())

    def adjustment(self, options: TrainOptions) -> NDArray[np.float32]:
        """Give what is added to the logits that the loss sees: float32 ``[7]``."""
        tune = options.finetune
        return adjustment(self.labels, tune.balance, tune.logit_adjustment)

    def batches(self, done: int, options: TrainOptions) -> Iterator[Batch]:
        """Give the batches of all steps after the first ``done``.

        A step's batch depends on the seed and the step's number alone, so that a run that
        goes on sees what one that was never interrupted sees.
        """
        for phase in phases(options.finetune, done):
            yield from self._of_phase(phase, options)

    def _of_phase(self, phase: Phase, options: TrainOptions) -> Iterator[Batch]:
        size, seed, balance = options.batch_size, options.seed, options.finetune.balance
        left = instances(self.labels, balance, seed, phase.first * size, phase.last * size)
        pairs = [Pair(self.train[i], int(view)) for i, view in zip(*left, strict=True)]
        labels = self.labels[left.images]
        for k, images in enumerate(self.pictures.views(pairs, phase.side)):
            yield images, labels[k * size : (k + 1) * size]


def tuning_data(
    files: Mapping[str, Path], train: pd.DataFrame, val: pd.DataFrame, options: TrainOptions
) -> TuningData:
    """Take training and validation images out of rows of a split table; none is opened.

    ``files`` gives the path of every image by sha256.
    """
    return TuningData(
        pictures=Pictures(files, options),
        train=list(train["sha256"]),
        labels=labels_of(train["dx"]),
        val=list(val["sha256"]),
        val_labels=labels_of(val["dx"]),
    )
