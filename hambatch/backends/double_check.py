"""Computing requests a second time, in another place, and comparing: ``--double-check``.

What is wrong once, or in one place, is then seen. What is wrong in the same way wherever and
whenever it is computed is not: sentinels are for that.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hambatch.types import Difference, DoubleChecked

Logits = NDArray[np.float32]


class Chooser:
    """Chooses requests by chance, anew in every process: no row depends on the choice."""

    def __init__(self, percent: float) -> None:
        self._share = percent / 100

    def takes(self) -> bool:
        """Whether to compute the next request twice."""
        return random.random() < self._share  # noqa: S311


@dataclass
class SecondScores:
    """What the images of one batch got the second time, and where they were computed.

    ``places`` is int64 ``[n, 4]``: request and place of the first time, then of the second; -1
    for an image that was computed once.
    """

    logits: Logits
    places: NDArray[np.int64]
    requests: int = 0

    @classmethod
    def of(cls, count: int, classes: int) -> "SecondScores":
        """Make room for so many images."""
        return cls(np.empty((count, classes), np.float32), np.full((count, 4), -1))

    def keep(self, first: int, logits: Logits, places: NDArray[np.int64]) -> None:
        """Keep what the images from ``first`` on got."""
        there = slice(first, first + len(logits))
        self.logits[there], self.places[there] = logits, places

    def compared(self, logits: Logits, tolerance: float = 0.0) -> DoubleChecked:
        """Compare with the first time, bit by bit.

        Parameters
        ----------
        tolerance
            Where the backend promises no bits: how far logits may be apart, as a share of the
            largest of the first time, or of 1.
        """
        slots = np.flatnonzero(self.places[:, 0] >= 0)
        first, second = logits[slots], self.logits[slots]
        if tolerance:
            scale = np.maximum(1.0, np.abs(first).max(1, initial=0.0, keepdims=True))
            with np.errstate(invalid="ignore"):
                other = ~(np.abs(first - second) <= tolerance * scale).all(1)
        else:
            other = (first.view(np.uint32) != second.view(np.uint32)).any(1)
        differing = tuple(
            Difference(
                int(slots[k]),
                tuple(first[k].tolist()),
                tuple(second[k].tolist()),
                _where(*self.places[slots[k]].tolist()),
            )
            for k in np.flatnonzero(other)
        )
        return DoubleChecked(self.requests, len(slots), differing)


def _where(request: int, place: int, again: int, other_place: int) -> str:
    return f"request {request}, place {place}; then request {again}, place {other_place}"
