"""Random views of an image: one affine matrix for each (seed, image, view)."""

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.training.options import Augmentation

PLAIN = 0
"""View 0 of every image: the image as scoring sees it."""


def check(augmentation: Augmentation) -> None:
    """Refuse ranges that name no picture.

    Raises
    ------
    InputError
        If a number is negative or not finite, or a share is 1 or more.
    """
    limits = {"rotation_degrees": 180.0, "shift": 0.99, "zoom": 0.99}
    values = asdict(augmentation)
    for name, most in limits.items():
        if not 0 <= values[name] <= most:
            option = "--" + name.replace("_", "-")
            raise InputError(
                f"{option} is {values[name]}, wanted a number from 0 to {most}.\n"
                f"Next: name another {option}"
            )


def view_matrix(
    augmentation: Augmentation, seed: int, sha256: str, view: int, height: int, width: int
) -> NDArray[np.float32]:
    """Draw the matrix of one view of one image, in pixels.

    The numbers come from a counter-based generator (Philox [1]_) keyed by the
    arguments, so that a view is the same in whatever order, batch or run it is
    computed.

    Parameters
    ----------
    sha256
        Of the encoded image, in hexadecimal.
    view
        0 is the identity: the plain image.
    height, width
        Of the image that is warped.

    Returns
    -------
    float32 ``[2, 3]``: from a point of the view to a point of the image, both
    ``(x, y)`` with (0, 0) at the outer corner of the top left pixel. It is the
    direction and the origin of DALI's ``warp_affine``.

    References
    ----------
    .. [1] Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC11 (2011)
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


def generator(seed: int, sha256: str, view: int, stream: int = 0) -> np.random.Generator:
    """Start the random numbers of one view of one image; no two streams share any."""
    words = np.frombuffer(bytes.fromhex(sha256), ">u4").tolist()
    key = (stream,) if stream else ()
    return np.random.Generator(
        np.random.Philox(np.random.SeedSequence([seed, view, *words], spawn_key=key))
    )
