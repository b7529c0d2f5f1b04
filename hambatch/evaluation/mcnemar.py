"""McNemar's test of two predictions of the same images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> dict[str, Any]:
    """Test whether two predictions are equally often right, exactly and two-sided [1]_.

    Of the images that only one of them calls right, each would call half right,
    if they were equally good. Images count one by one: several photographs of a
    lesion make the test too sure of itself.

    Returns
    -------
    ``only_first_right``, ``only_second_right``, and ``p_value``.

    References
    ----------
    .. [1] McNemar, Psychometrika 12:153-157 (1947), doi:10.1007/BF02295996
    """
    first = int((first_right & ~second_right).sum())
    second = int((second_right & ~first_right).sum())
    return {
        "only_first_right": first,
        "only_second_right": second,
        "p_value": _two_sided(first, first + second),
    }


def _two_sided(heads: int, tosses: int) -> float:
    """Twice the chance of so few, or so many, heads of a fair coin; 1 at most."""
    rarer = min(heads, tosses - heads)
    # Whole numbers: exact for any number of tosses.
    ways = term = 1
    for k in range(rarer):
        term = term * (tosses - k) // (k + 1)
        ways += term
    chance: float = 2 * ways / 2**tosses
    return min(1.0, chance)
