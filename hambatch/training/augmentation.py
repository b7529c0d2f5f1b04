"""Random views of an image, drawn from (seed, image, view): how it is moved, coloured, holed."""

import numpy as np
from numpy.typing import NDArray

from hambatch.training.view_options import Augmentation, Jitter

PLAIN = 0
"""View 0 of every image: the image as scoring sees it."""

_MATRIX, _COLOURS, _HOLE, _CROP = range(4)
"""Streams of random numbers of a view."""


def generator(seed: int, sha256: str, view: int, stream: int = _MATRIX) -> np.random.Generator:
    """Start the random numbers of one view of one image; no two streams share any.

    They come from a counter-based generator (Philox [1]_) keyed by the arguments, so that a
    view is the same in whatever order, batch or run it is computed. ``sha256`` is that of the
    encoded image, in hexadecimal.

    References
    ----------
    .. [1] Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC11 (2011)
    """
    words = np.frombuffer(bytes.fromhex(sha256), ">u4").tolist()
    key = (stream,) if stream else ()
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([seed, view, *words], spawn_key=key))
    )


def view_matrix(
    augmentation: Augmentation, seed: int, sha256: str, view: int, height: int, width: int
) -> NDArray[np.float32]:
    """Draw the matrix of one view of an image of that height and width, in pixels.

    Returns
    -------
    float32 ``[2, 3]``: from a point of the view to a point of the image, both
    ``(x, y)`` with (0, 0) at the outer corner of the top left pixel. It is the
    direction and the origin of DALI's ``warp_affine``.
    """
    if view == PLAIN:
        return np.eye(2, 3, dtype=np.float32)
    draw = generator(seed, sha256, view)
    # All numbers are drawn, needed or not: switching a flip off leaves the rest as it was.
    turn, shift_x, shift_y, zoom = draw.uniform(-1, 1, 4)
    flip_x, flip_y = draw.random(2) < 0.5
    angle = np.deg2rad(augmentation.rotation_degrees * turn)
    scale = 1 / (1 + augmentation.zoom * zoom)
    sign_x = -1 if augmentation.horizontal_flip and flip_x else 1
    sign_y = -1 if augmentation.vertical_flip and flip_y else 1
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * rotation @ np.diag([sign_x, sign_y])
    centre = np.array([width, height]) / 2
    shift = augmentation.shift * np.array([shift_x * width, shift_y * height])
    return np.column_stack([linear, centre - linear @ centre + shift]).astype(np.float32)


def cropped(
    matrix: NDArray[np.float32],
    whole: int,
    side: int,
    seed: int,
    sha256: str,
    view: int,
    extent: float = 0.0,
) -> NDArray[np.float32]:
    """Move a view's matrix to where a crop of it begins, anywhere that the crop fits.

    With ``extent`` 0 nothing is resized: objects are as large as in scoring, and not larger, as
    in crops that are resized [1]_. An image's centre is in every crop of at least half its side.

    Parameters
    ----------
    matrix
        float32 ``[2, 3]`` of a view of ``whole`` pixels a side, as :func:`view_matrix` gives it.
    side
        Of the crop, in pixels, at most ``whole``; a whole view's matrix stays as it is.
    extent
        Share of the view's side that the crop shows, resized to ``side``; 1: all of it.

    References
    ----------
    .. [1] Touvron et al., Fixing the train-test resolution discrepancy, NeurIPS 2019,
       arXiv:1906.06423
    """
    if side == whole:
        return matrix
    shown = round(extent * whole) if extent else side
    start = generator(seed, sha256, view, _CROP).integers(0, whole - shown, 2, endpoint=True)
    moved = matrix[:, :2] @ start + matrix[:, 2]
    return np.column_stack([matrix[:, :2] * (shown / side), moved]).astype(np.float32)


def colours(jitter: Jitter, seed: int, sha256: str, view: int) -> NDArray[np.float32]:
    """Draw how a view is coloured, as DALI's ``color_twist`` takes it: float32 ``[4]``.

    Factors of brightness, contrast and saturation, and degrees of hue.
    """
    draw = generator(seed, sha256, view, _COLOURS).uniform(-1, 1, 4)
    most = np.array([jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue_degrees])
    return np.array([1, 1, 1, 0] + most * draw, np.float32)


def hole(
    jitter: Jitter, seed: int, sha256: str, view: int, height: int, width: int
) -> NDArray[np.float32]:
    """Draw the square that is cut out of a view, clipped to the image [1]_.

    Its centre is anywhere in the image.

    Returns
    -------
    float32 ``[4]`` in whole pixels: top, left, height and width, as DALI's ``erase``
    takes anchor and shape; height and width may be 0.

    References
    ----------
    .. [1] DeVries, Taylor: Improved Regularization of Convolutional Neural Networks with
       Cutout (2017), arXiv:1708.04552
    """
    side = np.array([height, width])
    centre = generator(seed, sha256, view, _HOLE).random(2) * side
    half = jitter.cutout * side / 2
    start = np.clip(np.round(centre - half), 0, side)
    end = np.clip(np.round(centre + half), start, side)
    return np.concatenate([start, end - start]).astype(np.float32)
