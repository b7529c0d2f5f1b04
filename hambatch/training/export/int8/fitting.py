"""One convolution's INT8 weights: those that bring its output nearest to the FP32 one's.

Products of an activation, up to 255, and a weight are added in pairs of neighbouring input
channels, in 16 bits on processors without VNNI: two weights of a pair are at most 128 together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hambatch.training.options import Int8Options

MOST, PAIR_MOST = 127, 128
"""Largest magnitude of a weight's code, and of the two codes of a pair together."""

SHARES = np.concatenate([np.linspace(0.5, 1, 17), [1.15, 1.35, 1.6, 2.0]])
"""Of the scale at which the largest weight is 127; above 1 leaves room for pairs."""

BLOCK = 128
"""Columns whose losses are passed on together."""

DEAD = 1e-12
"""A variance below this: an input that never changes."""

FLOOR = 1e-3
"""Least importance of a weight, as a share of the mean."""

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class Int8Convolution:
    """What replaces a convolution's weights, and its input's scale.

    ``bias`` is for inputs shifted by -128 ``input_scale``; ``error`` is what is left, as a share
    of the output's deviation.
    """

    codes: NDArray[np.int8]
    scales: Floats32
    bias: Floats32
    input_scale: np.float32
    error: float

    @property
    def weights(self) -> Floats32:
        """What the codes stand for, ``[o, i, h, w]``."""
        return self.codes.astype(np.float32) * self.scales[:, None, None, None]


def fit(
    kernel: Floats32,
    inputs: Floats32,
    wanted: Floats32,
    input_scale: np.float32,
    options: Int8Options,
) -> Int8Convolution:
    """Solve for weights by ridge regression towards the original ones, then round them.

    Parameters
    ----------
    kernel
        ``[outputs, inputs, height, width]``, the FP32 weights.
    inputs
        ``[n, inputs * height * width]``: what the quantised network feeds it.
    wanted
        ``[n, outputs]``: what is to come out.
    """
    original = kernel.reshape(len(kernel), -1).astype(np.float64)
    positions = kernel.shape[2] * kernel.shape[3]
    mean, target = inputs.mean(axis=0), wanted.mean(axis=0)
    centred = inputs - mean
    moments = (centred.T @ centred).astype(np.float64) / len(inputs)
    cross = ((wanted - target).T @ centred).astype(np.float64) / len(inputs)
    variances = np.diag(moments)
    ridge = options.ridge * variances.mean() or 1.0
    system = moments + ridge * np.eye(len(moments))
    solved = np.linalg.solve(system, (cross + ridge * original).T).T
    scales = weight_scales(solved, variances + FLOOR * variances.mean(), positions)
    codes = gptq(solved, moments, scales.astype(np.float64), positions, options.damping)
    rounded = codes * scales[:, None].astype(np.float64)
    bias = (target - rounded @ mean).astype(np.float32)
    left = wanted - (inputs @ rounded.T.astype(np.float32) + bias)
    error = float(np.sqrt((left**2).mean() / (wanted.var(axis=0).mean() or 1.0)))
    stored = codes.astype(np.int8).reshape(kernel.shape)
    return Int8Convolution(stored, scales, bias, input_scale, error)


def weight_scales(weights: Floats, importance: Floats, positions: int) -> Floats32:
    """Choose the scale a row of least squared error, weighted by ``importance`` a column."""
    largest = np.abs(weights).max(axis=1)
    largest[largest == 0] = 1
    least = np.full(len(weights), np.inf)
    best = np.zeros(len(weights))
    for share in SHARES:
        scales = largest * share / MOST
        nearest = np.clip(np.rint(weights / scales[:, None]), -MOST, MOST)
        errors = limit_pairs(nearest, positions) * scales[:, None] - weights
        error = (errors**2 * importance).sum(axis=1)
        better = error < least
        least[better], best[better] = error[better], scales[better]
    return best.astype(np.float32)


def limit_pairs(codes: Floats, positions: int) -> Floats:
    """Lower the smaller weight of each pair until both fit.

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


def gptq(
    weights: Floats, moments: Floats, scales: Floats, positions: int, damping: float
) -> Floats:
    """Round column by column [1]_; what a column loses, the ones after it make up for.

    Parameters
    ----------
    weights
        ``[outputs, columns]``.
    moments
        ``[columns, columns]``: second moments of the inputs.
    damping
        Added to their diagonal, as a share of its mean.

    Returns
    -------
    NDArray
        Whole numbers ``[outputs, columns]``.

    References
    ----------
    .. [1] Frantar et al., GPTQ, ICLR 2023, arXiv:2210.17323
    """
    variances = np.diag(moments).copy()
    order = np.argsort(-variances, kind="stable")
    upper = _inverse_factor(moments, variances, damping, order)
    left = weights[:, order]
    outputs, columns = left.shape
    partners = _partners_in(order, positions)
    codes = np.zeros((outputs, columns))
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        lost = np.zeros((outputs, stop - start))
        for column in range(start, stop):
            most = _room(codes, partners[column], column)
            codes[:, column] = np.clip(np.rint(left[:, column] / scales), -most, most)
            error = (left[:, column] - codes[:, column] * scales) / upper[column, column]
            lost[:, column - start] = error
            after = slice(column + 1, stop)
            left[:, after] -= error[:, None] * upper[column, after][None]
        left[:, stop:] -= lost @ upper[start:stop, stop:]
    back = np.empty_like(order)
    back[order] = np.arange(columns)
    return codes[:, back]


def _inverse_factor(
    moments: Floats, variances: Floats, damping: float, order: NDArray[np.int64]
) -> Floats:
    """Cholesky factor, upper, of the damped moments' inverse, columns in order."""
    damped = moments.copy()
    diagonal = np.where(variances <= DEAD, 1, variances) + damping * variances.mean()
    np.fill_diagonal(damped, diagonal)
    inverse = np.linalg.inv(damped[np.ix_(order, order)])
    upper: Floats = np.linalg.cholesky(inverse).T
    return upper


def _partners_in(order: NDArray[np.int64], positions: int) -> NDArray[np.int64]:
    """Place in the order of each column's partner, the neighbouring channel's; -1 for none."""
    place = np.full(len(order) + positions, -1)
    place[order] = np.arange(len(order))
    channel, position = order // positions, order % positions
    found: NDArray[np.int64] = place[(channel ^ 1) * positions + position]
    return found


def _room(codes: Floats, partner: int, column: int) -> Floats:
    """Largest magnitude of a column's codes, a row: less where the partner came before."""
    if not 0 <= partner < column:
        return np.full(len(codes), float(MOST))
    room: Floats = np.minimum(MOST, PAIR_MOST - np.abs(codes[:, partner]))
    return room
