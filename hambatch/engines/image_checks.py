"""`image_checks.json`: limits beyond which an image is unlike those of the training, or poor.

Each is a quantile of the training images: see :mod:`hambatch.training.image_checks`.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from hambatch.engines.feature_statistics import Directions, read_directions
from hambatch.engines.loading import verify_file
from hambatch.engines.manifest import IMAGE_CHECKS, Manifest
from hambatch.errors import EngineError
from hambatch.system.files import write_json
from hambatch.system.schema import read_json_file

VERSION = 1
"""Of the measures: limits of another version are refused."""

Pair = tuple[float, float]
Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Grey = Annotated[float, Meta(ge=0, le=255)]


@dataclass(frozen=True)
class Colour:
    """Usual colours: ``centre`` of red and blue, and the inverse of their covariance matrix.

    ``most``: of the squared Mahalanobis distance.
    """

    centre: Pair
    precision: tuple[Pair, Pair]
    most: Positive

    def __post_init__(self) -> None:
        """Refuse a matrix by which some colour has no distance."""
        (rr, rb), (br, bb) = self.precision
        if not (rr > 0 and rr * bb - rb * br > 0):
            raise ValueError(f"precision is {self.precision}, wanted a positive definite matrix")


@dataclass(frozen=True)
class Limits:
    """Of the measures of :class:`hambatch.risk.pixel_measures.PixelMeasures`.

    ``most_ood``: of :meth:`hambatch.risk.out_of_distribution.Subspace.share_outside`.
    """

    least_sharpness: float
    least_light: Grey
    most_middle: Grey
    most_overexposed: Share
    least_contrast: Grey
    most_black: Share
    most_grain: Annotated[float, Meta(ge=0)]
    colour: Colour
    most_ood: Annotated[float, Meta(gt=0, le=1)]


@dataclass(frozen=True)
class ImageChecks:
    """All of the file: limits, and the images that they are quantiles of.

    ``ood_beyond`` and ``quality_beyond`` are the shares of these images beyond each limit;
    ``flagged`` the share beyond any.
    """

    limits: Limits
    images: Annotated[int, Meta(ge=1)]
    sources: tuple[str, ...]
    ood_beyond: Annotated[float, Meta(gt=0, lt=1)]
    quality_beyond: Annotated[float, Meta(gt=0, lt=1)]
    flagged: Annotated[float, Meta(ge=0, le=1)]
    version: Annotated[int, Meta(ge=1)] = VERSION


def write_image_checks(folder: Path, found: ImageChecks) -> None:
    """Write the file; ``engine.json`` does not name it yet."""
    write_json(folder / IMAGE_CHECKS, asdict(found))


def read_image_checks(folder: Path, manifest: Manifest) -> tuple[ImageChecks, Directions] | None:
    """Read an engine's, and where its training images lie; None if it has none.

    Raises EngineError if a file is not the one that ``engine.json`` names, or holds something
    else.
    """
    if IMAGE_CHECKS not in manifest.files:
        return None
    verify_file(folder, manifest, IMAGE_CHECKS)
    path = folder / IMAGE_CHECKS
    try:
        found = read_json_file(path, ImageChecks)
        if found.version != VERSION:
            raise ValueError(f"its version is {found.version}, this hambatch reads {VERSION}")
        directions = read_directions(folder, manifest)
        if directions is None:
            raise ValueError("the engine has no feature statistics")
    except ValueError as error:
        raise EngineError(
            f"{path} cannot be used: {error}.\nNext: install the engine again"
        ) from error
    return found, directions
