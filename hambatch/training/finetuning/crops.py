"""Crops of views: most steps see a part of each, which costs as much less as it is smaller."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.training.augmentation import generator
from hambatch.training.finetuning.options import FineTuneOptions

_CROP = 3
"""Stream of random numbers beside those of :mod:`hambatch.training.finetuning.jitter`."""


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
