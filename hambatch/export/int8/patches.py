"""What a convolution sees at places drawn at random."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Images, rows and columns of an output."""


def draw_places(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Places:
    """Choose ``count`` places of each image of an output ``[n, c, height, width]``."""
    images, _, height, width = shape
    count = min(count, height * width)
    drawn = [rng.choice(height * width, count, replace=False) for _ in range(images)]
    rows, columns = np.unravel_index(np.concatenate(drawn), (height, width))
    return np.repeat(np.arange(images), count), rows, columns


def at(values: NDArray[np.float16], places: Places) -> Floats:
    """Channels at the places, ``[len(places), c]``."""
    image, row, column = places
    return values[image, :, row, column].astype(np.float32)


def patches(
    padded: NDArray[np.int8], kernel: Sequence[int], stride: Sequence[int], places: Places
) -> Floats:
    """What the kernel covers at the places, ``[len(places), channels * height * width]``."""
    image, row, column = places
    out = np.empty((len(image), padded.shape[1], *kernel), np.float32)
    for down in range(kernel[0]):
        for right in range(kernel[1]):
            out[:, :, down, right] = padded[
                image, :, row * stride[0] + down, column * stride[1] + right
            ]
    return out.reshape(len(image), -1)
