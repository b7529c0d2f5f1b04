"""Whether samples look like red, green and blue, or like luminance and two chrominances.

A DICOM header that names the one where the file holds the other is common. Where nothing else says
what the samples are, or the file contradicts itself, their statistics decide; they refuse only what
is clear. Of 20,210 dermatoscopic images (HAM10000, BCN20000, ISIC 2017) none is refused under its
right name, and under the wrong one 98.8 % of those in RGB are, and 98.5 % in YCbCr
(``benchmarks/dicom_pictures.py``).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hambatch.pipelines.pillow_lane import UndecodableImage

RGB, YBR = "RGB", "YCbCr"

_SIDE = 64
_FLAT = 2.0
"""Levels: a picture whose samples spread less shows nothing, and says nothing."""

_OUTSIDE, _SHARE = 16, 0.005
"""Levels beyond 0 to 255 that compression may cause, and the share of pixels that go further."""

_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])
"""ITU-R BT.601, as JFIF and DICOM (PS3.3, C.7.6.3.1.2) use it."""


class Look(NamedTuple):
    """Statistics of three planes of samples.

    ``outside``: share of pixels that no RGB has, if the samples are YCbCr; ``spread``: standard
    deviation of the last two planes, by the first one's; ``alike``: correlation of the last two.
    """

    outside: float
    spread: float
    alike: float

    @property
    def is_clearly_rgb(self) -> bool:
        """Whether the samples cannot be YCbCr, or look much unlike it."""
        return self.outside > _SHARE or (self.spread > 0.9 and self.alike > 0.9)

    @property
    def is_clearly_ybr(self) -> bool:
        """Whether they may be YCbCr, and the last two planes say less, and not the same."""
        return self.outside <= _SHARE and self.spread < 0.5 and self.alike < 0.7


def check(samples: Image.Image, meant: str) -> None:
    """Raise UndecodableImage if samples of three bytes are clearly not what is meant."""
    small = np.asarray(samples.resize((_SIDE, _SIDE), Image.Resampling.BOX))
    found = look(small)
    if found is None:
        return
    if found.is_clearly_rgb if meant == YBR else found.is_clearly_ybr:
        other = RGB if meant == YBR else YBR
        raise UndecodableImage(
            f"DICOM whose colours are ambiguous: {meant} by the file, {other} by the looks"
        )


def look(samples: NDArray[np.uint8]) -> Look | None:
    """Measure samples ``[height, width, 3]``; None if they are all but equal."""
    planes = samples.reshape(-1, 3).astype(np.float64)
    spread = planes.std(axis=0)
    if spread.max() < _FLAT:
        return None
    rgb = (planes - (0, 128, 128)) @ _TO_RGB.T
    outside = ((rgb < -_OUTSIDE) | (rgb > 255 + _OUTSIDE)).any(axis=1).mean()
    both = spread[1] * spread[2]
    alike = ((planes[:, 1] - planes[:, 1].mean()) * (planes[:, 2] - planes[:, 2].mean())).mean()
    return Look(
        float(outside),
        float((spread[1] + spread[2]) / 2 / max(spread[0], 1e-9)),
        float(alike / both) if both else 0.0,
    )
