"""Pixels for training: files of images decoded and warped to views, or plain as in scoring."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.appearance import Looks
from hambatch.pipelines.training import training_batches
from hambatch.system.array_cache import Pair
from hambatch.training.appearance import look, looks_of, overlay, stretched
from hambatch.training.augmentation import PLAIN, colours, cropped, hole, view_matrix
from hambatch.training.compute import decoding_gpu
from hambatch.training.dataset import read_split_file
from hambatch.training.options import TrainOptions


def plain_views(sha256: Iterable[str]) -> list[Pair]:
    """Pair every image with view 0."""
    return [Pair(image, PLAIN) for image in sha256]


@dataclass(frozen=True)
class Views:
    """Views of images, drawn as the options say.

    Attributes
    ----------
    files
        Path of every image by the sha256 of its bytes.
    side
        Of a whole view and of a plain image, in pixels.
    """

    files: Mapping[str, Path]
    options: TrainOptions
    side: int
    batch_size: int

    def batches(
        self,
        pairs: Sequence[Pair],
        side: int | None = None,
        jitter: bool = False,
        on_cpu: bool = False,
    ) -> Iterator[NDArray[np.uint8]]:
        """Decode and warp; uint8 RGB ``[batch_size, side, side, 3]``, the last may be smaller.

        ``side`` is that of crops of the views, by default whole; ``jitter`` changes colours and
        cuts a hole as well; ``on_cpu`` decodes there although a GPU trains.
        """
        spec, side = InputSpec(height=self.side, width=self.side), side or self.side
        samples = Samples(pairs, self.files, self.options, self.side, side)
        gpu = None if on_cpu else decoding_gpu(self.options)
        how, looks = Preprocessing(), Looks()
        if jitter:
            looks = looks_of(self.options.finetune.appearance)
        return training_batches(
            samples, self.batch_size, spec, how, gpu, jitter=jitter, side=side, looks=looks
        )

    def on_cpu(self, sha256: Sequence[str]) -> NDArray[np.uint8]:
        """Plain images as scoring sees them on the CPU, uint8 RGB ``[n, side, side, 3]``."""
        return np.concatenate(list(self.batches(plain_views(sha256), on_cpu=True)))


@dataclass(frozen=True)
class Samples:
    """Views as the training pipeline takes them: each file is read when its turn comes."""

    pairs: Sequence[Pair]
    files: Mapping[str, Path]
    options: TrainOptions
    whole: int
    side: int

    def __len__(self) -> int:
        """Count them."""
        return len(self.pairs)

    def name(self, index: int) -> str:
        """Name the image in messages."""
        return str(self.files[self.pairs[index].sha256])

    def encoded(self, index: int) -> NDArray[np.uint8]:
        """Read the whole file, 1-D; InputError if it is missing, or of another hash."""
        sha256 = self.pairs[index].sha256
        return np.frombuffer(read_split_file(self.files[sha256], sha256), np.uint8)

    def matrix(self, index: int) -> NDArray[np.float32]:
        """Draw from where a view or its crop is taken, ``[2, 3]``."""
        seed, pair = self.options.seed, self.pairs[index]
        whole = view_matrix(self.options.augmentation, seed, *pair, self.whole, self.whole)
        if self.options.recipe == "finetune":
            whole = stretched(self.options.finetune.appearance, whole, seed, *pair, self.whole)
        extent = self.options.finetune.crop_extent
        return cropped(whole, self.whole, self.side, seed, *pair, extent)

    def colours(self, index: int) -> NDArray[np.float32]:
        """Draw factors and degrees, ``[4]``."""
        return colours(self.options.finetune.jitter, self.options.seed, *self.pairs[index])

    def look(self, index: int) -> NDArray[np.float32]:
        """Draw how it looks, ``[7]``."""
        appearance, seed = self.options.finetune.appearance, self.options.seed
        return look(appearance, seed, *self.pairs[index], self.side).array()

    def overlay(self, index: int) -> NDArray[np.uint8]:
        """Draw what lies on it, ``[side, side, 4]``."""
        appearance, seed = self.options.finetune.appearance, self.options.seed
        return overlay(appearance, seed, *self.pairs[index], self.side)

    def hole(self, index: int) -> NDArray[np.float32]:
        """Draw place and size, ``[4]``."""
        jitter, seed = self.options.finetune.jitter, self.options.seed
        return hole(jitter, seed, *self.pairs[index], self.side, self.side)
