"""The rule of a certificate for an image: its score in millionths, and whether it is referred.

A table has six decimals. Whole millionths compare exactly, whatever the order of a sum.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.certificates import MELANOMA, Target
from hambatch.engines.classes import CLASSES, MALIGNANT
from hambatch.engines.probabilities import DECIMALS

UNIT = 10**DECIMALS
"""Millionths in 1."""


def classes_of(target: Target) -> tuple[str, ...]:
    """Name the classes of a target, in the order of the table."""
    return ("mel",) if target == MELANOMA else tuple(x for x in CLASSES if x in MALIGNANT)


def positions_of(target: Target) -> list[int]:
    """Give the positions of a target's classes in ``CLASSES``."""
    return [CLASSES.index(name) for name in classes_of(target)]


def scores_of(probabilities: ArrayLike, target: Target) -> NDArray[np.int64]:
    """Sum the probabilities of the target, as they stand in a table: int64 ``[n]``, millionths.

    Parameters
    ----------
    probabilities
        float64 ``[n, 7]``, each with six decimals. ``p_malignant`` of a table is rounded after its
        sum was taken, and may differ from this score by two millionths.
    """
    values = np.asarray(probabilities, np.float64)[:, positions_of(target)]
    scores: NDArray[np.int64] = np.rint(values * UNIT).astype(np.int64).sum(axis=1)
    return scores


def millionths(threshold: float) -> int:
    """Turn a threshold into millionths."""
    return int(np.rint(threshold * UNIT))


def is_referred(scores: NDArray[np.int64], threshold: float) -> NDArray[np.bool_]:
    """Tell which scores, in millionths, are at the threshold or above it."""
    return scores >= millionths(threshold)
