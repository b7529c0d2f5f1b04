"""The bytes of a training image, and no others than those that were split."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.hashing import sha256_of_bytes


def read_encoded(path: Path, sha256: str) -> NDArray[np.uint8]:
    """Read a whole file, 1-D.

    Raises
    ------
    InputError
        If it is missing, or is not the file of that hash.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}.\n"
            "Next: restore the images, or run hambatch prepare again"
        ) from error
    if (found := sha256_of_bytes(content)) != sha256:
        raise InputError(
            f"{path} is not the file that was split: sha256 {found}, wanted {sha256}.\n"
            "Next: restore the images, or run hambatch prepare again"
        )
    return np.frombuffer(content, np.uint8)
