"""A few real images, decoded as scoring decodes them, to compare two models on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import InputError
from hambatch.export.parity import MIN_IMAGES
from hambatch.pipelines.decode import decode_and_resize
from hambatch.require import require

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
COUNT = 64
BATCH_SIZE = 8


def read_images(folder: Path, spec: InputSpec, how: Preprocessing) -> NDArray[np.uint8]:
    """Decode and resize the first 64 images below ``folder``, in sorted order, on the CPU.

    Returns
    -------
    NDArray
        uint8 RGB ``[n, height, width, 3]``, 8 <= n <= 64.

    Raises
    ------
    InputError
        If there are fewer than 8 images, or one cannot be decoded.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:COUNT]
    if len(paths) < MIN_IMAGES:
        raise InputError(
            f"{folder} holds {len(paths)} JPEG or PNG images, wanted at least {MIN_IMAGES}.\n"
            "Next: name a folder with more images, or make some: hambatch samples DIR"
        )
    return decode(paths, spec, how)


def decode(paths: Sequence[Path], spec: InputSpec, how: Preprocessing) -> NDArray[np.uint8]:
    """Decode and resize images on the CPU: uint8 RGB ``[n, height, width, 3]``, in order.

    Raises
    ------
    InputError
        If one cannot be decoded.
    """
    dali = require("nvidia.dali", extra="", purpose="decoding images")
    pipeline = dali.Pipeline(
        batch_size=BATCH_SIZE, num_threads=2, device_id=None, prefetch_queue_depth=1
    )
    with pipeline:
        encoded = dali.fn.external_source(name="encoded", dtype=dali.types.UINT8, ndim=1)
        pipeline.set_outputs(decode_and_resize(encoded, "cpu", spec, how))
    pipeline.build()
    parts = []
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        pipeline.feed_input("encoded", [np.fromfile(path, np.uint8) for path in batch])
        try:
            (images,) = pipeline.run()
        except RuntimeError as error:
            raise InputError(
                f"one of {batch[0]} ... {batch[-1].name} cannot be decoded.\n"
                "Next: name a folder of intact images"
            ) from error
        parts.append(images.as_array().copy())
    return np.concatenate(parts)
