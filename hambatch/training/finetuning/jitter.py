"""Random colours and a hole for each (seed, image, view), beside its matrix."""

import numpy as np
from numpy.typing import NDArray

from hambatch.training.augmentation import generator
from hambatch.training.finetuning.options import Jitter

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
