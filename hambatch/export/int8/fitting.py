"""One convolution's INT8 weights: those that bring its output nearest to the FP32 one's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hambatch.config import Int8Options
from hambatch.export.int8.rounding import gptq, weight_scales

FLOOR = 1e-3
"""Least importance of a weight, as a share of the mean."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Int8Convolution:
    """What replaces a convolution's weights, and its input's scale.

    ``bias`` is for inputs shifted by -128 ``input_scale``; ``error`` is what is left, as a share
    of the output's deviation.
    """

    codes: NDArray[np.int8]
    scales: Floats
    bias: Floats
    input_scale: np.float32
    error: float

    @property
    def weights(self) -> Floats:
        """What the codes stand for, ``[o, i, h, w]``."""
        return self.codes.astype(np.float32) * self.scales[:, None, None, None]


def fit(
    kernel: Floats, inputs: Floats, wanted: Floats, input_scale: np.float32, options: Int8Options
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
