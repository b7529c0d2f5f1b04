"""Whether `hw_decoder_load` splits a group between two decoders whose pixels differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hambatch.checks.parity.paths import KERAS, USUAL, Outcome, Run, ScoringPath
from hambatch.engines.gates import LIMITS
from hambatch.engines.precision import INT8
from hambatch.engines.probabilities import DECIMALS
from hambatch.engines.sentinels import Sentinels
from hambatch.errors import InputError
from hambatch.score.options import ScoreOptions
from hambatch.system.text import encode_name
from hambatch.training.export.export import FP16_STORED_LIMIT
from hambatch.types import Row


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

    Raises
    ------
    InputError
        If a file has changed meanwhile.
    """
    both = [(a, b) for a, b in zip(wanted, found, strict=True) if b.status == "ok"]
    _refuse_changed_files(both)
    if not both:
        return Compared(0, len(wanted), 0.0, 0.0, 0, "")
    off = _differences(both)
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
    """Compare what is to be the same, byte for byte, whatever path it is.

    Raises
    ------
    InputError
        If a file has changed meanwhile.
    """
    pairs = list(zip(before, after, strict=True))
    scored = [(a, b) for a, b in pairs if a.probabilities and b.probabilities]
    _refuse_changed_files(scored)
    largest = _rounded(_differences(scored).max()) if scored else 0.0
    return Changed(sum(a != b for a, b in pairs), largest)


def _differences(pairs: Sequence[tuple[Row, Row]]) -> NDArray[np.float64]:
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
        return Tolerance("what an exported graph may differ from Keras by", FP16_STORED_LIMIT)
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


ALL_ON_CORES, HALF, HALF_BACKWARDS = "load 0", "load 0.5", "load 0.5, backwards"


@dataclass(frozen=True)
class LoadEffect:
    """What other loads change against 1, the default: all JPEGs go to the GPU's JPEG engine.

    Attributes
    ----------
    difference_of_0, difference_of_half
        The largest of a probability, with loads 0 and 0.5 against 1.
    as_1, as_0, as_both, as_neither
        Rows with load 0.5 that are those of the one or the other.
    moved_by_place
        Rows with load 0.5 that change when the images are scored backwards.
    """

    path: str
    difference_of_0: float
    difference_of_half: float
    as_1: int
    as_0: int
    as_both: int
    as_neither: int
    moved_by_place: int


def load_runs(path: ScoringPath) -> list[Run]:
    """Score with other loads; nothing of them is judged."""
    return [
        Run(path, ALL_ON_CORES, _with_load(path, 0.0)),
        Run(path, HALF, _with_load(path, 0.5)),
        Run(path, HALF_BACKWARDS, _with_load(path, 0.5), backwards=True),
    ]


def effect_of(path: str, found: Mapping[str, Outcome]) -> LoadEffect | None:
    """Compare the runs of a path by name; None if one of them could not be done."""
    wanted = [found[name] for name in (USUAL, ALL_ON_CORES, HALF, HALF_BACKWARDS)]
    done = [rows for rows in wanted if isinstance(rows, list)]
    if len(done) < len(wanted):
        return None
    by_engine, by_cores, half, backwards = done
    like = _likeness(by_engine, by_cores, half)
    return LoadEffect(
        path=path,
        difference_of_0=count_changed(by_engine, by_cores).max_difference,
        difference_of_half=count_changed(by_engine, half).max_difference,
        as_1=like.count((True, False)),
        as_0=like.count((False, True)),
        as_both=like.count((True, True)),
        as_neither=like.count((False, False)),
        moved_by_place=count_changed(half, backwards).rows,
    )


def _with_load(path: ScoringPath, load: float) -> ScoreOptions:
    decoder = replace(path.options.decoder, hw_decoder_load=load)
    return replace(path.options, decoder=decoder)


def _likeness(
    by_engine: Sequence[Row], by_cores: Sequence[Row], half: Sequence[Row]
) -> list[tuple[bool, bool]]:
    rows = zip(by_engine, by_cores, half, strict=True)
    return [(found == one, found == other) for one, other, found in rows]
