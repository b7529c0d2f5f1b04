"""How far the rows of two runs differ, and how far they may."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hambatch.checks.parity.paths import KERAS, ScoringPath
from hambatch.engines.measurements import LIMITS
from hambatch.engines.probabilities import DECIMALS
from hambatch.engines.sentinels import Sentinels
from hambatch.errors import InputError
from hambatch.system.text import encode_name
from hambatch.training.export.export import FP16_STORED_LIMIT
from hambatch.types import Row

ONE_LEVEL, ONE_LEVEL_MEAN = 0.3, 0.01
"""What one probability, and all in the mean, may move by where a decoder's pixels are a level off.

DALI's own test lets GPU and CPU differ by one of 256 levels in the mean, with
``jpeg_fancy_upsampling`` (``dali/test/python/decoder/test_image.py``, ``test_fancy_upsampling``).
Every value one level up or down, at random, moved probabilities of an engine of the published
recipe by up to 0.16 and by 0.0052 in the mean, on 500 images
(``benchmarks/results/decoder_rounding.json``); these are about twice as much. A
plan's arithmetic alone is judged when it is built, within ``elsewhere``."""

CONFIDENCE = 0.99
"""That more labels changed than by chance: few images cannot separate 2 % from 3 %."""


@dataclass(frozen=True)
class Compared:
    """Differences of probabilities, absolute, over the images that both paths scored.

    Attributes
    ----------
    failed
        Images that only the first path could score.
    max_difference, mean_difference
        Over all images and classes.
    farthest
        The image with the largest difference, encoded as in a table; empty if there is none.
    """

    images: int
    failed: int
    max_difference: float
    mean_difference: float
    label_flips: int
    farthest: str


@dataclass(frozen=True)
class Changed:
    """How many rows are not the same in every column, and by how much a probability differs."""

    rows: int
    max_difference: float


def compare_rows(wanted: Sequence[Row], found: Sequence[Row]) -> Compared:
    """Compare two scores of the same images, all of them scored in ``wanted``.

    Raises InputError if a file has changed in between.
    """
    both = [(a, b) for a, b in zip(wanted, found, strict=True) if b.status == "ok"]
    _refuse_changed_files(both)
    if not both:
        return Compared(0, len(wanted), 0.0, 0.0, 0, "")
    off = differences(both)
    farthest = both[int(off.max(axis=1).argmax())][0].image if off.any() else ""
    return Compared(
        images=len(both),
        failed=len(wanted) - len(both),
        max_difference=_rounded(off.max()),
        mean_difference=round(float(off.mean()), 9),
        label_flips=sum(a.prediction != b.prediction for a, b in both),
        farthest=encode_name(farthest),
    )


def count_changed(before: Sequence[Row], after: Sequence[Row]) -> Changed:
    """Compare runs of one path, whose rows have to be the same in every byte.

    Raises InputError if a file has changed in between.
    """
    pairs = list(zip(before, after, strict=True))
    scored = [(a, b) for a, b in pairs if a.probabilities and b.probabilities]
    _refuse_changed_files(scored)
    largest = _rounded(differences(scored).max()) if scored else 0.0
    return Changed(sum(a != b for a, b in pairs), largest)


def differences(pairs: Sequence[tuple[Row, Row]]) -> NDArray[np.float64]:
    """Give the absolute differences of all probabilities, ``[n, 7]``; both of a pair are scored."""
    left = np.array([a.probabilities for a, _ in pairs])
    right = np.array([b.probabilities for _, b in pairs])
    off: NDArray[np.float64] = np.abs(left - right)
    return off


def _rounded(difference: float) -> float:
    # Of two numbers of six decimals: what is beyond is noise of the subtraction.
    return round(float(difference), DECIMALS)


def _refuse_changed_files(pairs: Sequence[tuple[Row, Row]]) -> None:
    for a, b in pairs:
        if a.sha256 != b.sha256:
            raise InputError(
                f"{encode_name(a.image)} changed while it was scored: sha256 {b.sha256}, "
                f"before {a.sha256}.\nNext: run the same command when the folder is at rest"
            )


@dataclass(frozen=True)
class Tolerance:
    """The largest and the mean difference of probabilities, and how many labels may change.

    None: not judged. ``source`` is where the numbers are from.
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

    Labels are judged in the precisions that have a gate. In the others a label may change where
    two probabilities are nearer to each other than the tolerance: a near tie, and no fault.
    """
    if path.precision in LIMITS:
        share = LIMITS[path.precision].label_flip_share
        source = (
            f"the gate of {path.precision}: {100 * share:g} % of labels, "
            f"judged from {images} images with {100 * CONFIDENCE:g} % confidence"
        )
        return Tolerance(source, label_flips=most_flips(images, share))
    if path.backend == KERAS:
        return Tolerance("what an exported graph may differ from Keras by", FP16_STORED_LIMIT)
    elsewhere = sentinels.elsewhere(path.precision)
    source = (
        f"{elsewhere:g} for sentinels in {path.precision} on another machine, "
        f"and {ONE_LEVEL:g}, {ONE_LEVEL_MEAN:g} in the mean, for pixels of another decoder"
    )
    return Tolerance(source, round(elsewhere + ONE_LEVEL, 9), round(elsewhere + ONE_LEVEL_MEAN, 9))


def most_flips(images: int, share: float) -> int:
    """Count the most labels that change in 99 of 100 samples where ``share`` of all would."""
    from scipy.stats import binom

    return int(binom.ppf(CONFIDENCE, images, share))
