"""Options of training views: how images are moved, coloured, and made to look like others."""

from dataclasses import asdict, dataclass
from typing import Any

from hambatch.training.option_fields import PART, SHARE, Range, option


@dataclass(frozen=True)
class Augmentation:
    """Random views of a training image, each parameter uniform in its range.

    Rotation in degrees either way; shift as a share of the side; zoom as a
    share of the scale, so 0.1 means 0.9 to 1.1.
    """

    rotation_degrees: float = option(
        180.0, "Largest rotation in degrees, in both directions.", Range(0, 180)
    )
    shift: float = option(0.1, "Largest shift, as a share of the side.", SHARE)
    zoom: float = option(0.1, "Largest zoom, as a share of the scale.", SHARE)
    horizontal_flip: bool = option(True, "Mirror views left to right.")
    vertical_flip: bool = option(True, "Mirror views top to bottom.")


FACTOR = "Largest difference of the factor from 1."


@dataclass(frozen=True)
class Jitter:
    """How the pixels of a view are changed, each number uniform in its range.

    ``brightness``, ``contrast`` and ``saturation`` are factors, given as the most that
    they differ from 1; hue turns either way. It stays small: colour is evidence here, as
    the blue-white veil of a melanoma is. ``cutout`` is the side of a blanked square as a
    share of the image's side; 0.2 is 4 % of the area, less than a lesion.
    """

    brightness: float = option(0.08, FACTOR, SHARE)
    contrast: float = option(0.08, FACTOR, SHARE)
    saturation: float = option(0.08, FACTOR, SHARE)
    hue_degrees: float = option(
        2.0, "Largest turn of the hue in degrees, in both directions.", Range(0, 180)
    )
    cutout: float = option(0.2, "Side of a blanked square, as a share of the image's.", SHARE)


@dataclass(frozen=True)
class Appearance:
    """How views are made to look like those of other cameras; by default they are not.

    ``shades_of_grey`` takes a part of the illuminant out of each view, drawn from 0 to that number.
    ``tint`` multiplies each channel by a factor of its own. ``degraded_share`` is that of views
    which are blurred, of those which are shrunk and enlarged, and of those which are compressed,
    drawn independently; ``blur``, ``lowest_scale`` and ``lowest_quality`` say how much at most.
    ``stretch`` 0.2 draws widths of 1/1.2 to 1.2 heights. ``style_share`` of the views take the
    colours of another view of the batch, whatever its source is.
    """

    shades_of_grey: float = option(
        0.0, "Largest part of a view's estimated illuminant that is taken out.", Range(0, 1)
    )
    tint: float = option(0.0, f"{FACTOR[:-1]}, for each colour channel.", SHARE)
    degraded_share: float = option(
        0.0, "Share of views that are blurred, shrunk or compressed, each.", Range(0, 1)
    )
    blur: float = option(1.5, "Largest blur of a degraded view, in pixels.", Range(0, 20))
    lowest_scale: float = option(
        0.4, "Smallest share of the side to which a degraded view is shrunk.", PART
    )
    lowest_quality: int = option(
        30, "Lowest JPEG quality of a degraded view; 0: it is not compressed.", Range(0, 95)
    )
    border_share: float = option(
        0.0, "Share of views with a round or square black border.", Range(0, 1)
    )
    hair_share: float = option(0.0, "Share of views with drawn hairs.", Range(0, 1))
    ruler_share: float = option(0.0, "Share of views with a drawn ruler.", Range(0, 1))
    stretch: float = option(
        0.0, "Largest change of a view's width against its height, as a share.", SHARE
    )
    style_share: float = option(
        0.0, "Share of views that take the colours' means and spreads of another one.", Range(0, 1)
    )

    def record(self) -> dict[str, Any]:
        """Give what changes views, as plain values; nothing by default."""
        return {} if self == Appearance() else asdict(self)
