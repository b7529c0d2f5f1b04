"""A 64-bit perceptual hash (pHash) of what a picture looks like, whatever its bytes are."""

import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Of a thumbnail, as in the method's definition."""

LOWEST = 8
"""Frequencies that are kept in each direction: 8 x 8 bits."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Grey from RGB as JPEG defines it (ITU-R BT.601)."""


def grey_thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average blocks of RGB images ``[n, 224, 224, 3]``; gives uint8 ``[n, 32, 32]``.

    The sides of the images have to be multiples of 32.
    """
    n, height, width, _ = images.shape
    grey = images.astype(np.float32) @ LUMA
    blocks = grey.reshape(n, SIDE, height // SIDE, SIDE, width // SIDE).mean(axis=(2, 4))
    found: NDArray[np.uint8] = blocks.round().astype(np.uint8)
    return found


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hash grey thumbnails ``[n, 32, 32]`` [1]_: uint64 ``[n]``.

    A bit says whether one of the 64 lowest coefficients of the thumbnail's discrete cosine
    transform is above their median, the mean brightness left out of it. Alike pictures differ
    in few bits.

    References
    ----------
    .. [1] Zauner: Implementation and Benchmarking of Perceptual Image Hash Functions, master's
       thesis, Hagenberg (2010), 3.2.1, https://www.phash.org/docs/pubs/thesis_zauner.pdf
    """
    at, frequency = np.arange(SIDE), np.arange(LOWEST)[:, None]
    cosines = np.cos(np.pi * (2 * at + 1) * frequency / (2 * SIDE))
    lowest = (cosines @ thumbnails.astype(np.float64) @ cosines.T).reshape(-1, LOWEST**2)
    median = np.median(lowest[:, 1:], axis=1, keepdims=True)
    found: NDArray[np.uint64] = np.packbits(lowest > median, axis=1).view(np.uint64).ravel()
    return found
