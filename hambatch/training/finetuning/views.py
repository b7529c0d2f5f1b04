"""Pixels for fine-tuning: views moved, coloured and holed, and images as scoring sees them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hambatch.config import TrainOptions
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.training import training_batches
from hambatch.training.augmentation import PLAIN, view_matrix
from hambatch.training.compute import compute_of
from hambatch.training.encoded import read_encoded
from hambatch.training.feature_cache import Pair
from hambatch.training.finetuning.crops import cropped
from hambatch.training.finetuning.jitter import colours, hole


@dataclass(frozen=True)
class Pictures:
    """All images by the sha256 of their bytes, and how views of them are drawn."""

    files: Mapping[str, Path]
    options: TrainOptions

    def views(self, pairs: Sequence[Pair], side: int) -> Iterator[NDArray[np.uint8]]:
        """Decode, warp, crop and jitter; uint8 ``[batch_size, side, side, 3]`` at a time."""
        return self._batches(pairs, compute_of(self.options).decoder, side, jitter=True)

    def plain(self, sha256: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
        """Decode on the device that trains; the last batch may be smaller."""
        pairs = [Pair(image, PLAIN) for image in sha256]
        return self._batches(pairs, compute_of(self.options).decoder, self._side, jitter=False)

    def on_cpu(self, sha256: Sequence[str]) -> NDArray[np.uint8]:
        """Plain images as scoring sees them on the CPU, uint8 ``[n, side, side, 3]``."""
        pairs = [Pair(image, PLAIN) for image in sha256]
        return np.concatenate(list(self._batches(pairs, "cpu", self._side, jitter=False)))

    @property
    def _side(self) -> int:
        return self.options.finetune.side

    def _batches(
        self, pairs: Sequence[Pair], device: str, side: int, jitter: bool
    ) -> Iterator[NDArray[np.uint8]]:
        spec, how = InputSpec(height=self._side, width=self._side), Preprocessing()
        samples = _Samples(pairs, self.files, self.options, spec, side)
        size = self.options.batch_size
        return training_batches(samples, size, spec, how, device, jitter=jitter, side=side)


@dataclass(frozen=True)
class _Samples:
    """Views as the training pipeline takes them: files are read when their turn comes."""

    pairs: Sequence[Pair]
    files: Mapping[str, Path]
    options: TrainOptions
    spec: InputSpec
    side: int

    def __len__(self) -> int:
        return len(self.pairs)

    def name(self, index: int) -> str:
        return str(self.files[self.pairs[index].sha256])

    def encoded(self, index: int) -> NDArray[np.uint8]:
        sha256 = self.pairs[index].sha256
        return read_encoded(self.files[sha256], sha256)

    def matrix(self, index: int) -> NDArray[np.float32]:
        options, spec = self.options, self.spec
        where = (*self.pairs[index], spec.height, spec.width)
        whole = view_matrix(options.augmentation, options.seed, *where)
        return cropped(whole, spec.height, self.side, options.seed, *self.pairs[index])

    def colours(self, index: int) -> NDArray[np.float32]:
        options = self.options
        return colours(options.finetune.jitter, options.seed, *self.pairs[index])

    def hole(self, index: int) -> NDArray[np.float32]:
        options = self.options
        where = (*self.pairs[index], self.side, self.side)
        return hole(options.finetune.jitter, options.seed, *where)
