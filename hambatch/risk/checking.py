"""From pixels and features to what a row says of its image: ``ood`` and ``quality``."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.classes import QUALITY_WORDS, QualityWord
from hambatch.engines.image_checks import Colour, Limits, read_image_checks
from hambatch.engines.loading import Engine
from hambatch.risk.out_of_distribution import Subspace
from hambatch.risk.pixel_measures import PixelMeasures, measure

OOD_DECIMALS = 3
"""The features' last bits differ between processors."""

MOST_OOD = 999.0


class Checked(NamedTuple):
    """What was found of one image.

    ``ood``: how unlike the training images it is, in multiples of the engine's limit: above 1 is
    beyond it. ``quality``: words of :data:`hambatch.engines.classes.QUALITY_WORDS`, separated by a
    blank; empty: nothing was found.
    """

    ood: float
    quality: str


class Checker:
    """Checks images by the limits of one engine."""

    def __init__(self, limits: Limits, subspace: Subspace) -> None:
        self._limits, self._subspace = limits, subspace

    def check_all(self, images: NDArray[np.uint8], features: NDArray[np.float32]) -> list[Checked]:
        """Check uint8 RGB ``[n, height, width, 3]``, with float32 ``[n, 2048]``, each by itself."""
        return [self.check(*each) for each in zip(images, features, strict=True)]

    def check(self, image: NDArray[np.uint8], features: NDArray[np.float32]) -> Checked:
        """Check one image as the network saw it: uint8 RGB ``[height, width, 3]``.

        ``features`` are its float32 ``[2048]``.
        """
        share = self._subspace.share_outside(features)
        ood = round(min(share / self._limits.most_ood, MOST_OOD), OOD_DECIMALS)
        return Checked(ood, " ".join(words_of(measure(image), self._limits)))


def checker_of(engine: Engine) -> Checker | None:
    """Make the checker of an engine; None if it has no limits.

    Raises EngineError as :func:`hambatch.engines.image_checks.read_image_checks` does.
    """
    found = read_image_checks(engine.folder, engine.manifest)
    return Checker(found[0].limits, Subspace(found[1])) if found else None


def words_of(found: PixelMeasures, limits: Limits) -> list[QualityWord]:
    """Say what is beyond a limit, in the order of the words."""
    beyond: dict[QualityWord, bool] = {
        "blurred": found.sharpness < limits.least_sharpness,
        "dark": found.light < limits.least_light,
        "bright": found.middle > limits.most_middle or found.overexposed > limits.most_overexposed,
        "uniform": found.contrast < limits.least_contrast,
        "colour": unusual(found, limits.colour) > limits.colour.most,
        "border": found.black > limits.most_black,
        "grain": found.grain > limits.most_grain,
    }
    return [word for word in QUALITY_WORDS if beyond[word]]


def unusual(found: PixelMeasures, colour: Colour) -> float:
    """Squared Mahalanobis distance of an image's colour from the usual ones."""
    red, blue = found.red - colour.centre[0], found.blue - colour.centre[1]
    (rr, rb), (br, bb) = colour.precision
    return red * (rr * red + rb * blue) + blue * (br * red + bb * blue)
