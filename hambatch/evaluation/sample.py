"""The images that figures are about, draws of their lesions, and figures over draws."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.classes import CLASSES, MALIGNANT

Place = tuple[str, ...]
"""Where a figure stands in a report, such as ``("classes", "mel", "f1")``."""

Figures = dict[Place, NDArray[np.float64]]
"""Values of figures, float64 ``[draws]`` each; NaN where a figure would divide by zero."""

Measure = Callable[[NDArray[np.float64]], Figures]
"""From the weight of every image, float64 ``[draws, n]``, to the figures of every draw."""


def together(*measures: Measure) -> Measure:
    """Join measures of the same images."""
    return lambda weights: {
        place: values for measure in measures for place, values in measure(weights).items()
    }


def below(name: str, measure: Measure) -> Measure:
    """Put the figures of a measure one level down, under ``name``."""
    return lambda weights: {(name, *place): values for place, values in measure(weights).items()}


def once(measure: Measure, images: int) -> dict[Place, float | None]:
    """Measure the sample itself, every image with weight 1; None is a division by zero."""
    found = measure(np.ones((1, images)))
    return {place: number(values[0]) for place, values in found.items()}


def number(value: float) -> float | None:
    """Give a float that JSON can hold."""
    return None if np.isnan(value) else float(value)


def nested(values: Mapping[Place, Any]) -> dict[str, Any]:
    """Turn places into dictionaries within dictionaries, in the order they come."""
    report: dict[str, Any] = {}
    for place, value in values.items():
        level = report
        for name in place[:-1]:
            level = level.setdefault(name, {})
        level[place[-1]] = value
    return report


def ratio(
    part: NDArray[np.float64], whole: NDArray[np.float64], otherwise: float = np.nan
) -> NDArray[np.float64]:
    """Divide; ``otherwise`` where ``whole`` is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    quotient: NDArray[np.float64] = np.full(part.shape, otherwise)
    return np.divide(part, whole, out=quotient, where=whole != 0)


def mean_defined(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over the last axis what is not NaN; NaN if nothing is left."""
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return ratio(total, defined.sum(axis=-1).astype(np.float64))


def weighted_mean(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average ``values`` ``[n]`` in every draw."""
    return ratio(weights @ values, weights.sum(axis=1))


MELANOMA = CLASSES.index("mel")

MALIGNANT_CLASSES = [k for k, name in enumerate(CLASSES) if name in MALIGNANT]


def p_malignant_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum akiec, bcc and mel of ``[n, 7]``: float64 ``[n]``."""
    # Rounded, or the noise of float addition would order sums that are equal.
    total: NDArray[np.float64] = probabilities[:, MALIGNANT_CLASSES].sum(axis=1)
    return total.round(12)


@dataclass(frozen=True)
class Sample:
    """Images with a truth and a prediction; arrays that make no sense raise ValueError.

    Attributes
    ----------
    truth, predicted
        int64 ``[n]``, n > 0: positions in ``CLASSES``.
    probabilities
        float64 ``[n, 7]``, 0 to 1, in the order of ``CLASSES``.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check shapes and ranges."""
        n = self.truth.size
        if not n or self.truth.shape != (n,) or self.predicted.shape != (n,):
            raise ValueError(
                f"truth {self.truth.shape}, predicted {self.predicted.shape}: wanted [n], n > 0"
            )
        if self.probabilities.shape != (n, len(CLASSES)):
            raise ValueError(
                f"probabilities {self.probabilities.shape}: wanted ({n}, {len(CLASSES)})"
            )
        if not np.isin(np.stack([self.truth, self.predicted]), np.arange(len(CLASSES))).all():
            raise ValueError(f"classes: wanted 0 to {len(CLASSES) - 1}")
        if not ((self.probabilities >= 0) & (self.probabilities <= 1)).all():
            raise ValueError("probabilities: wanted 0 to 1")

    @property
    def size(self) -> int:
        """Number of images."""
        return int(self.truth.size)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image is called right."""
        return np.equal(self.truth, self.predicted)

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the class that is predicted."""
        return self.probabilities[np.arange(self.size), self.predicted]

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """Whether each image shows akiec, bcc or mel."""
        return np.isin(self.truth, MALIGNANT_CLASSES)

    @property
    def p_malignant(self) -> NDArray[np.float64]:
        """Probability of akiec, bcc or mel."""
        return p_malignant_of(self.probabilities)

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Sample":
        """Take some of the images, in the order of ``chosen``."""
        return Sample(self.truth[chosen], self.predicted[chosen], self.probabilities[chosen])


class Target(NamedTuple):
    """What is looked for: whether each image shows it, ``[n]``, and its probability, ``[n]``."""

    positive: NDArray[np.bool_]
    scores: NDArray[np.float64]


def targets(sample: Sample) -> dict[str, Target]:
    """Give ``malignant`` (against benign) and ``melanoma`` (against all others)."""
    return {
        "malignant": Target(sample.malignant, sample.p_malignant),
        "melanoma": Target(sample.truth == MELANOMA, sample.probabilities[:, MELANOMA]),
    }


RESAMPLES = 1000

LEVEL = 0.95

_ELEMENTS = 2**20
"""Weights held at once: 8 MB, some thirty times over while figures are computed."""


def drawn(
    measure: Measure, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
) -> Figures:
    """Measure every draw of lesions: arrays ``[resamples]``.

    ``groups`` ``[n]`` names each image's lesion; a draw has as many lesions as there are.
    """
    parts = [measure(weights) for weights in draw_weights(groups, resamples, seed)]
    return {place: np.concatenate([part[place] for part in parts]) for place in parts[0]}


def draw_weights(groups: ArrayLike, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield float64 ``[draws, n]``: how often each image is in each draw; some draws at a time.

    Lesions are numbered by their sorted names, whatever the order of the images.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    rows = max(1, _ELEMENTS // group.size)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        lesions = rng.integers(0, names.size, (count, names.size))
        lesions += names.size * np.arange(count)[:, None]
        times = np.bincount(lesions.ravel(), minlength=count * names.size)
        yield times.reshape(count, names.size)[:, group].astype(np.float64)


def interval(values: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float] | None:
    """Percentile interval of the draws in which a figure is defined.

    None if that is fewer than half of them: then the draws say little about the figure.
    """
    defined = values[~np.isnan(values)]
    if 2 * defined.size < values.size:
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
    return low, high
