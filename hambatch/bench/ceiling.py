"""The rate that a run could reach at most, given the rates of its stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

ADDED = "1 / (1/decode + 1/inference)"
LOWER = "min(decode, inference)"
BETWEEN = "min(decode, inference, cores / (decode_cores/decode + inference_cores/inference))"

ON_THE_CORES = ("openvino", "keras")
"""Backends that compute on the cores that decode; others have a device of their own."""

READING_BOUND = 1.1
"""Decoding that is hardly faster than reading, by this ratio, waits for the disk."""


@dataclass(frozen=True)
class Cores:
    """How many there are, and how many each stage keeps busy when it is alone."""

    count: int
    decode: int
    inference: int
    shared: bool = True

    @property
    def formula(self) -> str:
        """How the ceiling is computed."""
        if not self.shared or self.decode + self.inference <= self.count:
            return LOWER
        return ADDED if self.decode == self.inference == self.count else BETWEEN

    def ceiling(self, decode: float, inference: float) -> float:
        """Compute the ceiling from both rates, in images/s.

        On the same cores, CPU seconds an image add up; where each stage alone
        takes all of them, that is ``1 / (1/decode + 1/inference)``.
        """
        lower = min(decode, inference)
        if self.formula == LOWER:
            return lower
        return min(lower, self.count / (self.decode / decode + self.inference / inference))


@dataclass(frozen=True)
class Ceiling:
    """The ceiling and what it is made of.

    ``share`` is the median of the shares, each taken within one round;
    ``share_with_sentinels`` counts sentinels as if they were images;
    ``gain`` is what the ceiling would rise to, as a ratio, if the stage that
    does not bind cost nothing.
    """

    images_per_s: float
    formula: str
    share: float
    share_with_sentinels: float
    bound_by: str
    gain: float

    def to_json(self) -> dict[str, Any]:
        """Give the part of the result."""
        return {
            "images_per_s": round(self.images_per_s, 3),
            "formula": self.formula,
            "share_of_ceiling": self.share,
            "share_with_known_pictures": self.share_with_sentinels,
            "bound_by": self.bound_by,
            "gain_if_the_other_were_free": round(self.gain, 4),
        }


def find_ceiling(
    cores: Cores,
    read: Sequence[float],
    decode: Sequence[float],
    inference: Sequence[float],
    score: Sequence[float],
    sentinels: float = 0.0,
) -> Ceiling:
    """Compare a run's rate with its stages', round by round; all in images/s.

    Parameters
    ----------
    sentinels
        Sentinels that the run scored, for each image.
    """
    pairs = list(zip(decode, inference, strict=True))
    ceilings = [cores.ceiling(d, i) for d, i in pairs]
    # With the other stage gone, the one that binds reaches what it reaches alone.
    gains = [min(pair) / c for pair, c in zip(pairs, ceilings, strict=True)]
    bound_by, d = "inference", median(decode)
    if d < median(inference):
        bound_by = "read" if median(read) < READING_BOUND * d else "decode"
    share = median(s / c for s, c in zip(score, ceilings, strict=True))
    return Ceiling(
        images_per_s=median(ceilings),
        formula=cores.formula,
        # Rounded here, so that the verdict and the JSON say the same.
        share=round(share, 4),
        share_with_sentinels=round(share * (1 + sentinels), 4),
        bound_by=bound_by,
        gain=median(gains),
    )
