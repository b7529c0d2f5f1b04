"""Limits of image checks: quantiles of the training images, of the sharp sources."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.feature_statistics import Directions
from hambatch.engines.image_checks import Colour, ImageChecks, Limits
from hambatch.risk.checking import unusual, words_of
from hambatch.risk.out_of_distribution import Subspace
from hambatch.risk.pixel_measures import PixelMeasures

OOD_BEYOND = 0.005
"""Share of the training images beyond the limit of ``ood``. More of other images are beyond it, as
the network was fitted to these: of held-out ones 1.4 %."""

QUALITY_BEYOND = 0.003
"""Share of the training images beyond each limit of a measure of quality. With both, 2.3 % of
held-out images of HAM10000 are flagged: ``benchmarks/results/image_checks.json``."""

LEAST_VARIANCE = 1e-6
"""Added to those of colours, so that a few images of one colour have a matrix to invert."""

Numbers = NDArray[np.float64]


def image_checks_of(
    features: NDArray[np.float32],
    measures: Sequence[PixelMeasures],
    directions: Directions,
    sources: tuple[str, ...],
) -> ImageChecks:
    """Choose the limits.

    Parameters
    ----------
    features
        float32 ``[n, 2048]``, of the FP32 graph.
    measures
        Of the same images; length n, at least 1.
    sources
        What the images come from, by name.
    """
    subspace = Subspace(directions)
    ood = np.array([subspace.share_outside(one) for one in features])
    limits = _limits(ood, np.array(measures))
    beyond = ood > limits.most_ood
    beyond |= [bool(words_of(one, limits)) for one in measures]
    return ImageChecks(
        limits, len(measures), sources, OOD_BEYOND, QUALITY_BEYOND, float(beyond.mean())
    )


def _limits(ood: Numbers, measures: Numbers) -> Limits:
    """Take quantiles of float64 ``[n]`` and ``[n, 9]``."""
    of = dict(zip(PixelMeasures._fields, measures.T, strict=True))

    def least(name: str) -> float:
        return float(np.quantile(of[name], QUALITY_BEYOND))

    def most(name: str) -> float:
        return float(np.quantile(of[name], 1 - QUALITY_BEYOND))

    return Limits(
        least_sharpness=least("sharpness"),
        least_light=least("light"),
        most_middle=most("middle"),
        most_overexposed=most("overexposed"),
        least_contrast=least("contrast"),
        most_black=most("black"),
        most_grain=most("grain"),
        colour=_colour([PixelMeasures(*one) for one in measures.tolist()]),
        most_ood=float(np.quantile(ood, 1 - OOD_BEYOND)),
    )


def _colour(measures: Sequence[PixelMeasures]) -> Colour:
    colours = np.array([(one.red, one.blue) for one in measures])
    centre = colours.mean(axis=0)
    covariance = (colours - centre).T @ (colours - centre) / len(colours)
    (rr, rb), (br, bb) = np.linalg.inv(covariance + LEAST_VARIANCE * np.eye(2)).tolist()
    usual = Colour((float(centre[0]), float(centre[1])), ((rr, rb), (br, bb)), most=1.0)
    far = [unusual(one, usual) for one in measures]
    most = float(np.quantile(far, 1 - QUALITY_BEYOND))
    return Colour(usual.centre, usual.precision, most=max(most, LEAST_VARIANCE))
