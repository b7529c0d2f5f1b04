"""Intervals of calibration errors, and of their differences.

A calibration error is a sum of absolute values: of each bin's gap between accuracy and
confidence. Where the true gap is 0, chance makes its absolute value larger, and a draw of the
sample makes it larger once more. So percentiles of drawn errors lie above the error itself, which
lies above the true one. The bootstrap of such a sum is consistent if only gaps that are clearly
not 0 keep their sign, and all others count by their absolute value [1]_.

References
----------
.. [1] Fang, Santos, "Inference on Directionally Differentiable Functions", Rev. Econ. Stud.
   86:377-412 (2019), doi:10.1093/restud/rdy049
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.calibration import gap_measure
from hambatch.evaluation.sample import LEVEL, Figures, Place, Sample


class Deviations(NamedTuple):
    """How far an error lies above the true one, by the draws: float64 ``[draws]`` each.

    ``signed``: if every gap kept its sign, so that chance only moves the error; ``directional``:
    if chance makes the gaps that are not clear larger as well.
    """

    signed: NDArray[np.float64]
    directional: NDArray[np.float64]

    def minus(self, other: "Deviations") -> "Deviations":
        """Give those of the difference of two errors, of the same draws."""
        return Deviations(self.signed - other.signed, self.directional - other.directional)


def deviations(gaps: NDArray[np.float64], draws: NDArray[np.float64], groups: int) -> Deviations:
    """Take them from the gaps of the sample ``[15]`` and of the draws ``[draws, 15]``.

    A gap is clear beyond the square root of log(``groups``) standard errors, the threshold of
    Andrews, Soares, Econometrica 78:119-157 (2010), doi:10.3982/ECTA7502.
    """
    moved = draws - gaps
    signed = moved * np.sign(gaps)
    clear = np.abs(gaps) > np.sqrt(np.log(groups)) * moved.std(axis=0)
    directional = np.where(clear, signed, np.abs(moved))
    return Deviations(signed.sum(axis=1), directional.sum(axis=1))


def deviations_of(sample: Sample, draws: Figures, groups: int) -> dict[Place, Deviations]:
    """Take those of both calibration errors from the draws of :func:`gap_measure`."""
    gaps = gap_measure(sample)(np.ones((1, sample.size)))
    return {place: deviations(gaps[place][0], draws[place], groups) for place in gaps}


def calibration_interval(
    error: float, found: Deviations, level: float = LEVEL, lowest: float = 0.0
) -> tuple[float, float]:
    """Take the deviations of both tails from an error, or a difference, of ``lowest`` to 1.

    The wider end of either kind: the signed ones lie around 0, so the error is inside.
    """
    tail = (1 - level) / 2
    most = max(float(np.quantile(values, 1 - tail)) for values in found)
    least = min(float(np.quantile(values, tail)) for values in found)
    return max(error - most, lowest), min(error - least, 1.0)


def known_intervals(
    errors: Mapping[Place, float | None],
    found: Mapping[Place, Deviations],
    level: float = LEVEL,
    lowest: float = 0.0,
) -> dict[Place, tuple[float, float]]:
    """Give the interval of every error, or difference, that there are deviations of."""
    return {
        place: calibration_interval(error, of_error, level, lowest)
        for place, of_error in found.items()
        if (error := errors[place]) is not None
    }
