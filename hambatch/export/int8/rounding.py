"""From real weights to INT8 codes, each output channel with its scale.

Frantar et al., GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers, ICLR 2023, arXiv:2210.17323, with the limit of :mod:`.overflow` in each step.
"""

import numpy as np
from numpy.typing import NDArray

from hambatch.export.int8.overflow import MOST, PAIR_MOST, limit_pairs, partner

SHARES = np.concatenate([np.linspace(0.5, 1, 17), [1.15, 1.35, 1.6, 2.0]])
"""Of the scale at which the largest weight is 127; above 1 leaves room for pairs."""

BLOCK = 128
DEAD = 1e-12
"""A variance below this: an input that never changes."""

Floats = NDArray[np.float64]


def nearest_codes(weights: Floats, scales: Floats, positions: int) -> Floats:
    """Round to the nearest codes within the limits."""
    codes = np.clip(np.rint(weights / scales[:, None]), -MOST, MOST)
    return limit_pairs(codes, positions)


def weight_scales(weights: Floats, importance: Floats, positions: int) -> NDArray[np.float32]:
    """Choose the scale a row of least squared error, weighted by ``importance`` a column."""
    largest = np.abs(weights).max(axis=1)
    largest[largest == 0] = 1
    least = np.full(len(weights), np.inf)
    best = np.zeros(len(weights))
    for share in SHARES:
        scales = largest * share / MOST
        errors = nearest_codes(weights, scales, positions) * scales[:, None] - weights
        error = (errors**2 * importance).sum(axis=1)
        better = error < least
        least[better], best[better] = error[better], scales[better]
    return best.astype(np.float32)


def gptq(
    weights: Floats, moments: Floats, scales: Floats, positions: int, damping: float
) -> Floats:
    """Round column by column; what a column loses, the ones after it make up for.

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
    """For each place in the order, the place of its partner; -1 for none."""
    place = np.empty(len(order) + 1, np.int64)
    place[order] = np.arange(len(order))
    place[-1] = -1
    found: NDArray[np.int64] = place[partner(order, positions, len(order))]
    return found


def _room(codes: Floats, other: int, column: int) -> Floats:
    """How large a code may be, a row: less where its partner has taken its share."""
    if not 0 <= other < column:
        return np.full(len(codes), float(MOST))
    room: Floats = np.minimum(MOST, PAIR_MOST - np.abs(codes[:, other]))
    return room
