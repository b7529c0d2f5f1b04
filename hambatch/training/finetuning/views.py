"""Pixels for fine-tuning: views moved, coloured and holed, and images as scoring sees them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.training import training_batches
from hambatch.system.array_cache import Pair
from hambatch.training.augmentation import PLAIN, generator, view_matrix
from hambatch.training.compute import compute_of
from hambatch.training.dataset import read_encoded
from hambatch.training.options import FineTuneOptions, Jitter, TrainOptions

_CROP = 3
"""Stream of random numbers beside those of :mod:`hambatch.training.finetuning.views`."""


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


def cropped(
    matrix: NDArray[np.float32], whole: int, side: int, seed: int, sha256: str, view: int
) -> NDArray[np.float32]:
    """Move a view's matrix to where a crop of it begins, anywhere that the crop fits.

    Nothing is shrunk: what is seen is as large as in scoring [1]_. An image's centre is in
    every crop of at least half its side.

    Parameters
    ----------
    matrix
        float32 ``[2, 3]`` of a view of ``whole`` pixels a side, as
        :func:`hambatch.training.augmentation.view_matrix` gives it.
    side
        Of the crop, in pixels, at most ``whole``; a whole view's matrix stays as it is.

    References
    ----------
    .. [1] Touvron et al., Fixing the train-test resolution discrepancy, NeurIPS 2019,
       arXiv:1906.06423: of crops that are resized, what is seen is not.
    """
    if side == whole:
        return matrix
    start = generator(seed, sha256, view, _CROP).integers(0, whole - side, 2, endpoint=True)
    moved = matrix[:, :2] @ start + matrix[:, 2]
    return np.column_stack([matrix[:, :2], moved]).astype(np.float32)


_COLOURS, _HOLE = 1, 2
"""Streams of random numbers beside that of the matrix, which is number 0."""


def colours(jitter: Jitter, seed: int, sha256: str, view: int) -> NDArray[np.float32]:
    """Draw how a view is coloured, as DALI's ``color_twist`` takes it.

    Returns
    -------
    float32 ``[4]``: factors of brightness, contrast and saturation, and degrees of hue.
    """
    draw = generator(seed, sha256, view, _COLOURS).uniform(-1, 1, 4)
    most = np.array([jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue_degrees])
    return np.array([1, 1, 1, 0] + most * draw, np.float32)


def hole(
    jitter: Jitter, seed: int, sha256: str, view: int, height: int, width: int
) -> NDArray[np.float32]:
    """Draw the square that is cut out of a view, clipped to the image [1]_.

    Its centre is anywhere in the image.

    Returns
    -------
    float32 ``[4]`` in whole pixels: top, left, height and width, as DALI's ``erase``
    takes anchor and shape; height and width may be 0.

    References
    ----------
    .. [1] DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with
       Cutout (2017), arXiv:1708.04552
    """
    side = np.array([height, width])
    centre = generator(seed, sha256, view, _HOLE).random(2) * side
    half = jitter.cutout * side / 2
    start = np.clip(np.round(centre - half), 0, side)
    end = np.clip(np.round(centre + half), start, side)
    return np.concatenate([start, end - start]).astype(np.float32)


@dataclass(frozen=True)
class Pictures:
    """All images by the sha256 of their bytes, and how views of them are drawn."""

    files: Mapping[str, Path]
    options: TrainOptions

    def views(self, pairs: Sequence[Pair], side: int) -> Iterator[NDArray[np.uint8]]:
        """Decode, warp, crop and jitter; uint8 ``[batch_size, side, side, 3]`` at a time."""
        return self._batches(pairs, compute_of(self.options).gpu, side, jitter=True)

    def plain(self, sha256: Sequence[str]) -> Iterator[NDArray[np.uint8]]:
        """Decode on the device that trains; the last batch may be smaller."""
        pairs = [Pair(image, PLAIN) for image in sha256]
        return self._batches(pairs, compute_of(self.options).gpu, self._side, jitter=False)

    def on_cpu(self, sha256: Sequence[str]) -> NDArray[np.uint8]:
        """Plain images as scoring sees them on the CPU, uint8 ``[n, side, side, 3]``."""
        pairs = [Pair(image, PLAIN) for image in sha256]
        return np.concatenate(list(self._batches(pairs, None, self._side, jitter=False)))

    @property
    def _side(self) -> int:
        return self.options.finetune.side

    def _batches(
        self, pairs: Sequence[Pair], gpu: int | None, side: int, jitter: bool
    ) -> Iterator[NDArray[np.uint8]]:
        spec, how = InputSpec(height=self._side, width=self._side), Preprocessing()
        samples = _Samples(pairs, self.files, self.options, spec, side)
        size = self.options.batch_size
        return training_batches(samples, size, spec, how, gpu, jitter=jitter, side=side)


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
