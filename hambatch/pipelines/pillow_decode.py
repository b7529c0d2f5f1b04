"""Decode with Pillow to the pixels that the DALI pipeline would give.

Serves files that DALI refuses, and machines for which DALI has no wheel.
"""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hambatch.engines.manifest import InputSpec, Preprocessing


class UndecodableImage(Exception):
    """Neither an image nor a bug: the message is the row's reason."""


def decode(content: bytes, spec: InputSpec, how: Preprocessing) -> NDArray[np.uint8]:
    """Decode one file to uint8 RGB ``[height, width, 3]``.

    Raises
    ------
    UndecodableImage
        If Pillow cannot decode it, or it is no JPEG or PNG.
    """
    try:
        with warnings.catch_warnings():
            # A bomb or a damaged tag is a reason to fail this file, not a line on the terminal.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
                upright = ImageOps.exif_transpose(image) if how.exif_orientation else image
                pixels = np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError, Warning, Image.DecompressionBombError) as e:
        raise UndecodableImage(_one_line(e)) from e
    return resize_linear(pixels, spec.height, spec.width)


def resize_linear(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Bilinear resize without antialias, half-pixel centres, edges clamped.

    The same definition as DALI's ``INTERP_LINEAR`` with ``antialias=False``
    and ``tf.image.resize``; equal to DALI's to one grey level.
    """
    top, bottom, down = _taps(pixels.shape[0], height)
    left, right, across = _taps(pixels.shape[1], width)
    rows = pixels.astype(np.float32)
    rows = rows[top] * (1 - down)[:, None, None] + rows[bottom] * down[:, None, None]
    mixed = rows[:, left] * (1 - across)[:, None] + rows[:, right] * across[:, None]
    # C order: fancy indexing leaves the columns outermost, and a batch of such images would
    # not be the dense array that backends share without a copy.
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8, order="C")


def _taps(
    source: int, target: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    centre = (np.arange(target) + 0.5) * (source / target) - 0.5
    lower = np.floor(centre)
    share = (centre - lower).astype(np.float32)
    first = np.clip(lower, 0, source - 1).astype(np.int64)
    second = np.clip(lower + 1, 0, source - 1).astype(np.int64)
    return first, second, share


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # Pillow names the in-memory stream by its address, which differs from run to run.
    return text.partition(" <_io.BytesIO")[0][:200]
