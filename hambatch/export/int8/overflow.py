"""Weights whose products never saturate on processors without VNNI.

Their 8-bit instruction adds the products of two neighbouring input channels in 16 bits,
saturating. An activation is at most 255 there, so two weights whose magnitudes sum to at
most 128 are safe: 255 * 128 < 2^15.
"""

import numpy as np
from numpy.typing import NDArray

MOST = 127
PAIR_MOST = 128

Floats = NDArray[np.float64]


def limit_pairs(codes: Floats, positions: int) -> Floats:
    """Lower the smaller weight of each pair, and then the larger, until they fit.

    Parameters
    ----------
    codes
        Whole numbers ``[outputs, inputs * positions]``, at most 127 in magnitude.
    positions
        Of the kernel: 9 for 3x3.
    """
    outputs, inputs = len(codes), codes.shape[1] // positions
    even = np.zeros((outputs, inputs + inputs % 2, positions))
    even[:, :inputs] = codes.reshape(outputs, inputs, positions)
    pairs = even.reshape(outputs, -1, 2, positions)
    sizes = np.abs(pairs)
    larger = sizes.max(axis=2, keepdims=True)
    room = PAIR_MOST - larger
    first_is_larger = sizes[:, :, :1] >= sizes[:, :, 1:]
    is_larger = np.concatenate([first_is_larger, ~first_is_larger], axis=2)
    limited = np.sign(pairs) * np.where(is_larger, sizes, np.minimum(sizes, room))
    return limited.reshape(even.shape)[:, :inputs].reshape(codes.shape)


def pair_sums(codes: NDArray[np.int8]) -> NDArray[np.int64]:
    """Magnitudes of neighbouring input channels' weights ``[o, i, h, w]``, added up."""
    sizes = np.abs(codes.astype(np.int64))
    if sizes.shape[1] % 2:
        sizes = np.pad(sizes, ((0, 0), (0, 1), (0, 0), (0, 0)))
    return sizes[:, ::2] + sizes[:, 1::2]


def partner(column: NDArray[np.int64], positions: int, columns: int) -> NDArray[np.int64]:
    """Column of the neighbouring channel at the same place of the kernel; -1 for none."""
    channel, position = column // positions, column % positions
    found = (channel ^ 1) * positions + position
    return np.where(found < columns, found, -1)
