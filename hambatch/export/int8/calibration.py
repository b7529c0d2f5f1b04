"""The images that decide scales and rounding: some of the training images, never others."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import InputError
from hambatch.export.images import decode
from hambatch.hashing import sha256_of_file
from hambatch.training.dataset import Dataset


def calibration_images(
    dataset: Dataset, count: int, seed: int, spec: InputSpec, how: Preprocessing
) -> NDArray[np.uint8]:
    """Decode ``count`` training images, chosen at random, as scoring decodes them.

    Returns
    -------
    NDArray
        uint8 RGB ``[count, height, width, 3]``, in the order of the table.

    Raises
    ------
    InputError
        If there are fewer, or one is missing, altered since the split, or cannot be decoded.
    """
    training = dataset.part("train")
    if len(training) < count:
        raise InputError(
            f"the split table has {len(training)} training images, wanted {count}.\n"
            f"Next: --calibration-images {len(training)}, or a larger table"
        )
    rows = np.sort(np.random.default_rng(seed).choice(len(training), count, replace=False))
    chosen = training.iloc[rows]
    paths = [dataset.root / name for name in chosen["file"]]
    for path, wanted in zip(paths, chosen["sha256"], strict=True):
        _refuse_altered(path, wanted)
    return decode(paths, spec, how)


def _refuse_altered(path: Path, wanted: str) -> None:
    following = "Next: restore the images, or run hambatch prepare again"
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.\n{following}") from error
    if found != wanted:
        raise InputError(
            f"{path} is not the file that was split: sha256 {found}, wanted {wanted}.\n{following}"
        )
