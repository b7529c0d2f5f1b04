"""Rows of one path against those of another: how far apart, and how many labels change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Row
from hambatch.errors import InputError
from hambatch.names import encode_name
from hambatch.probabilities import DECIMALS


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
