"""Grad-CAM without a gradient tape: the head is so small that its derivative is written down."""

import numpy as np
from numpy.typing import NDArray

from hambatch.explanation.head import Head

Maps = NDArray[np.float64]


def evidence(
    head: Head, feature_map: NDArray[np.float32], features: NDArray[np.float32]
) -> NDArray[np.float64]:
    """What each cell adds to each logit, before anything is cut off at zero.

    With ``h = features @ w1 + b1``, the derivative of logit c by channel k is
    ``sum_j w1[k, j] [h_j > 0] w2[j, c] / (rows columns)`` at every cell, so its mean over the
    cells, the weight of Grad-CAM [1]_, is that number too. All cells together give the logit
    but for what the biases of the layers that are active add to it.

    Parameters
    ----------
    feature_map
        ``[n, channels, rows, columns]``.
    features
        Its mean over rows and columns, ``[n, channels]``.

    Returns
    -------
    ``[n, classes, rows, columns]``.

    References
    ----------
    .. [1] Selvaraju et al., ICCV 2017, arXiv:1610.02391, equation 1.
    """
    cells = feature_map.shape[2] * feature_map.shape[3]
    active = features.astype(np.float64) @ head.w1 + head.b1 > 0
    weights = (active[:, None, :] * head.w2.T) @ head.w1.T / cells
    maps: Maps = np.einsum("nck,nkij->ncij", weights, feature_map.astype(np.float64))
    return maps


def grad_cam(
    head: Head, feature_map: NDArray[np.float32], features: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Grad-CAM of every class, at least 0; arguments and shape as of :func:`evidence`."""
    maps: Maps = np.maximum(evidence(head, feature_map, features), 0)
    return maps
