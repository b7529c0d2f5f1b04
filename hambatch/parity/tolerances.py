"""How far a path may be from the reference, and where that number is from."""

import math
from dataclasses import dataclass

from hambatch.engines.choice import INT8
from hambatch.engines.gate_spec import LIMITS
from hambatch.engines.sentinel_spec import Sentinels
from hambatch.export.parity import FP16_STORED_LIMITS
from hambatch.parity.comparing import Compared
from hambatch.parity.paths import KERAS, ScoringPath

ONE_LEVEL, ONE_LEVEL_MEAN = 0.3, 0.01
"""What one probability, and all in the mean, may move by where a decoder's pixels are a level off.

DALI's own test lets GPU and CPU differ by one of 256 levels in the mean, with
``jpeg_fancy_upsampling`` (``dali/test/python/decoder/test_image.py``, ``test_fancy_upsampling``).
Every value one level up or down, at random, moved probabilities of an engine of the published
recipe by up to 0.16 and by 0.0052 in the mean, on 500 images
(``benchmarks/results/decoder_rounding.json``); these are about twice as much. A
plan's arithmetic alone is judged when it is built, within ``elsewhere``."""

CONFIDENCE = 0.99
"""Of a wrong share of labels: few images cannot tell 2 % from 3 %."""


@dataclass(frozen=True)
class Tolerance:
    """The largest and the mean difference of probabilities, and how many labels may change.

    None: not judged. ``source`` says what the numbers are from.
    """

    source: str
    max_difference: float | None = None
    mean_difference: float | None = None
    label_flips: int | None = None

    def holds(self, found: Compared) -> bool:
        """Judge; an image that only the reference could score is beyond any tolerance."""
        pairs = (
            (found.max_difference, self.max_difference),
            (found.mean_difference, self.mean_difference),
            (found.label_flips, self.label_flips),
        )
        return not found.failed and all(limit is None or value <= limit for value, limit in pairs)


def tolerance_of(path: ScoringPath, sentinels: Sentinels, images: int) -> Tolerance:
    """Give the tolerance of a path against FP32 by OpenVINO.

    Labels are judged in INT8 only. In the others a label changes within the tolerance where
    two probabilities are nearer to each other than that: a near tie, and no fault.
    """
    if path.precision == INT8:
        share = LIMITS.label_flip_share
        source = (
            f"the gate of int8: {100 * share:g} % of labels, "
            f"told from {images} images with {100 * CONFIDENCE:g} % confidence"
        )
        return Tolerance(source, label_flips=most_flips(images, share))
    if path.backend == KERAS:
        limit = FP16_STORED_LIMITS.max_difference
        return Tolerance("what an exported graph may differ from Keras by", limit)
    elsewhere = sentinels.elsewhere(path.precision)
    source = (
        f"{elsewhere:g} for known pictures in {path.precision} on another machine, "
        f"and {ONE_LEVEL:g}, {ONE_LEVEL_MEAN:g} in the mean, for pixels of another decoder"
    )
    return Tolerance(source, round(elsewhere + ONE_LEVEL, 9), round(elsewhere + ONE_LEVEL_MEAN, 9))


def most_flips(images: int, share: float) -> int:
    """Count the most labels that change in 99 of 100 samples where ``share`` of all would.

    The quantile of a binomial distribution: for many images it nears ``share``.
    """
    total = 0.0
    for flips in range(images):
        total += _chance(flips, images, share)
        if total >= CONFIDENCE:
            return flips
    return images


def _chance(flips: int, images: int, share: float) -> float:
    # In logarithms: the terms of thousands of images are beyond a float.
    ways = math.lgamma(images + 1) - math.lgamma(flips + 1) - math.lgamma(images - flips + 1)
    return math.exp(ways + flips * math.log(share) + (images - flips) * math.log1p(-share))
