"""How training views are made to look like other cameras': steps of a DALI graph, each optional."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

NORM = 6
"""Of shades of grey: an illuminant is estimated by the 6-norm of each channel."""

DARK = 1e-3
"""Added to each norm, of values from 0 to 1: a black image stays black."""


class Looks(NamedTuple):
    """Which steps a graph has, in this order."""

    overlay: bool = False
    constancy: bool = False
    tint: bool = False
    blur: bool = False
    scale: bool = False
    jpeg: bool = False

    @property
    def has_numbers(self) -> bool:
        """Whether a step needs a :class:`Look`."""
        return any(self._replace(overlay=False))


class Look(NamedTuple):
    """Numbers of one view; those below change nothing.

    Attributes
    ----------
    constancy
        From 0 to 1: how far the estimated illuminant is taken out.
    red, green, blue
        Factors.
    blur
        Standard deviation of a Gaussian, in pixels.
    side
        In pixels, to which the view is shrunk before it is enlarged again; at most its own.
    quality
        Of a JPEG; 0: none.
    """

    constancy: float = 0.0
    red: float = 1.0
    green: float = 1.0
    blue: float = 1.0
    blur: float = 0.0
    side: float = 0.0
    quality: float = 0.0

    def array(self) -> NDArray[np.float32]:
        """Give float32 ``[7]``."""
        return np.array(self, np.float32)


SHARPEST = 0.01
"""A blur of so few pixels has weights 0, 1, 0."""


def changed(images: Any, look: Any, overlay: Any, looks: Looks, side: int) -> Any:
    """Build the graph from uint8 RGB images ``[side, side, 3]`` to such that look different.

    Parameters
    ----------
    look
        DALI node, on the CPU, of float32 ``[7]`` samples: :class:`Look`.
    overlay
        DALI node, on the CPU, of uint8 ``[side, side, 4]`` samples: RGB and how opaque it is.
    """
    from nvidia.dali import fn

    if looks.constancy:
        images = shades_of_grey(images, _beside(images, look[0:1]))
    if looks.overlay:
        images = overlaid(images, _beside(images, overlay))
    if looks.tint:
        images = _bytes(images * _beside(images, look[1:4]))
    if looks.blur:
        images = fn.gaussian_blur(images, sigma=fn.cast(look[4], dtype=_float()))
    if looks.scale:
        small = fn.resize(images, size=fn.stack(look[5], look[5]), antialias=True)
        images = fn.resize(small, size=(side, side), antialias=False)
    if looks.jpeg:
        images = compressed(images, look[6], _beside(images, look[6:7]))
    return images


def _float() -> Any:
    from nvidia.dali import types

    return types.FLOAT


def _beside(images: Any, node: Any) -> Any:
    """Move a node to where the images are: arithmetic needs both at one place."""
    return node.gpu() if images.device == "gpu" else node


def _bytes(values: Any) -> Any:
    from nvidia.dali import fn, types

    # It rounds, and values out of range become 0 or 255.
    return fn.cast(values, dtype=types.UINT8)


def shades_of_grey(images: Any, strength: Any) -> Any:
    """Divide each channel by the illuminant's [1]_, to the power of ``strength``.

    The mean of the three norms stays, so the image is about as bright as before.

    References
    ----------
    .. [1] Finlayson, Trezzi: Shades of Gray and Colour Constancy, Color Imaging Conference (2004);
       on dermatoscopic images: Barata et al., IEEE J. Biomed. Health Inform. 19 (2015),
       doi:10.1109/JBHI.2014.2336473
    """
    from nvidia.dali import fn, math

    values = fn.cast(images, dtype=_float()) / 255.0
    powers = fn.reductions.mean(values * values * values * values * values * values, axes=(0, 1))
    norms = math.pow(powers, 1 / NORM) + DARK
    gains = fn.reductions.mean(norms, axes=0, keep_dims=True) / norms
    return _bytes(images * math.pow(gains, strength))


def overlaid(images: Any, overlay: Any) -> Any:
    """Paint the overlay's colours over the images, as opaque as it says."""
    opaque = overlay[:, :, 3:4] / 255.0
    return _bytes(images * (1.0 - opaque) + overlay[:, :, 0:3] * opaque)


def compressed(images: Any, quality: Any, beside: Any) -> Any:
    """Compress at a JPEG quality and decode again; images of quality 0 stay as they are."""
    from nvidia.dali import fn, math, types

    used = fn.cast(math.clamp(quality, 1.0, 100.0), dtype=types.INT32)
    found = fn.jpeg_compression_distortion(images, quality=used)
    chosen = fn.cast(beside > 0.5, dtype=_float())
    return _bytes(found * chosen + images * (1.0 - chosen))
