"""What a temperature changes: log loss and calibration error before and after, by lesion."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.calibrating.fitting import floored
from hambatch.engines.calibration_spec import Improvement, Interval
from hambatch.evaluation.calibration import calibration_measure
from hambatch.evaluation.draws import drawn, interval
from hambatch.evaluation.figures import Figures
from hambatch.evaluation.sample import Sample
from hambatch.temperature import tempered

FIGURES = ("log_loss", "ece")


def improvements(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    groups: ArrayLike,
    temperature: float,
) -> dict[str, Improvement]:
    """Measure each of ``FIGURES`` on the same images without and with the temperature.

    Parameters
    ----------
    probabilities, truth
        As in :func:`~hambatch.calibrating.fitting.fit_temperature`.
    groups
        ``[n]``: the lesion of each image; whole lesions are drawn.
    """
    before = _sample(probabilities, truth)
    after = _sample(tempered(floored(probabilities), temperature), truth)
    (was, was_drawn), (now, now_drawn) = (_measured(sample, groups) for sample in (before, after))
    return {
        name: Improvement(
            before=float(was[name,][0]),
            before_interval=_span(was_drawn, name),
            after=float(now[name,][0]),
            after_interval=_span(now_drawn, name),
        )
        for name in FIGURES
    }


def _sample(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> Sample:
    # Of equals, the first: a temperature changes no label.
    return Sample(truth, probabilities.argmax(axis=1), probabilities)


def _measured(sample: Sample, groups: ArrayLike) -> tuple[Figures, Figures]:
    """Give the figures of the sample itself, and of every draw."""
    measure = calibration_measure(sample)
    return measure(np.ones((1, sample.size))), drawn(measure, groups)


def _span(draws: Figures, name: str) -> Interval:
    found = interval(draws[name,])
    if found is None:
        raise ValueError(f"{name} is undefined in most draws: wanted a mean over images")
    return found
