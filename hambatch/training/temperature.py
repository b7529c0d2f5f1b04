"""One temperature for all probabilities: fitted by maximum likelihood, and what it changes."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.manifest import Improvement, Interval
from hambatch.engines.probabilities import tempered
from hambatch.evaluation.calibration import SMALLEST, calibration_measure
from hambatch.evaluation.sample import Figures, Sample, drawn, interval

COLDEST, HOTTEST = 0.05, 20.0
"""What is not between them is no calibration: the predictions are all right, or of no use."""


DECIMALS = 6
"""Of a temperature: beyond them it depends on the order in which a machine adds."""


_HALVINGS = 60
"""Of a span of 6 in the logarithm: to the last bit of a float."""


def fit_temperature(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float | None:
    """Find the temperature with the smallest negative log-likelihood.

    The likelihood is log-concave in 1 / temperature, so there is one minimum, where the slope
    changes its sign; it is found by bisection.

    Parameters
    ----------
    probabilities
        float64 ``[n, 7]``, n > 0, uncalibrated; see :func:`floored`.
    truth
        int64 ``[n]``: positions in ``CLASSES``.

    Returns
    -------
    The temperature, rounded to ``DECIMALS``; None if the minimum is not between ``COLDEST``
    and ``HOTTEST``.
    """
    logs = np.log(floored(probabilities))
    low, high = np.log(COLDEST), np.log(HOTTEST)
    if _slope(logs, truth, np.exp(low)) <= 0 or _slope(logs, truth, np.exp(high)) >= 0:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_cold = _slope(logs, truth, np.exp(middle)) > 0
        low, high = (middle, high) if too_cold else (low, middle)
    return round(float(np.exp((low + high) / 2)), DECIMALS)


def floored(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let a 0 of six decimals count as the last of them, as the log loss does."""
    found: NDArray[np.float64] = np.maximum(probabilities, SMALLEST)
    return found


def _slope(logs: NDArray[np.float64], truth: NDArray[np.int64], temperature: float) -> float:
    """Give the derivative of the mean negative log-likelihood by 1 / temperature."""
    scaled = logs / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    expected = (weights * logs).sum(axis=1) / weights.sum(axis=1)
    return float((expected - logs[np.arange(truth.size), truth]).mean())


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
        As in :func:`~hambatch.training.temperature.fit_temperature`.
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
