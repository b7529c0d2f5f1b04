"""Encoded bytes to upright uint8 RGB of the engine's size: the one DALI definition.

Scoring and training, CPU and GPU all call :func:`decode_and_resize`, so a model
sees in service what it saw in training.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import BackendError, InputError
from hambatch.pipelines.options import DecoderOptions
from hambatch.system.packages import require


def has_dali() -> bool:
    """Tell whether DALI is installed; it has wheels for Linux only."""
    try:
        return importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:
        return False


REFUSALS = (RuntimeError, MemoryError, ValueError, TypeError, IndexError)
"""What DALI raises for a batch: some of its errors get the class of Python's that is nearest."""


INTERPOLATIONS = {"linear": "INTERP_LINEAR"}


DEFAULTS = DecoderOptions()


def decode_and_resize(
    encoded: Any,
    device: str,
    spec: InputSpec,
    how: Preprocessing,
    decoder: DecoderOptions = DEFAULTS,
) -> Any:
    """Build the graph from encoded images to ``[height, width, 3]`` uint8 RGB.

    Parameters
    ----------
    encoded
        DALI node of 1-D uint8 samples: whole JPEG or PNG files.
    device
        ``"cpu"``, or ``"mixed"`` to decode and resize on the GPU.

    Notes
    -----
    On the CPU, where ``decoder`` means nothing, the pixels equal Pillow's; linear interpolation
    without antialias equals ``tf.image.resize`` to rounding. On the GPU they differ by a few
    levels, so a row says who decoded its picture, which depends on the picture alone.
    """
    from nvidia.dali import fn, types

    # The field names are DALI's argument names; all apply to "mixed" only.
    extra = asdict(decoder) if device == "mixed" else {}
    images = fn.decoders.image(
        encoded,
        device=device,
        output_type=types.RGB,
        adjust_orientation=how.exif_orientation,
        **extra,
    )
    return fn.resize(
        images,
        size=[spec.height, spec.width],
        interp_type=getattr(types, INTERPOLATIONS[how.interpolation]),
        antialias=how.antialias,
        dtype=types.UINT8,
    )


def pipeline_device(device: str, device_id: int) -> int | None:
    """Give a pipeline's ``device_id``: None on the CPU, where DALI then asks for no driver."""
    return None if device == "cpu" else device_id


def built(pipeline: Any, device: str, device_id: int) -> Any:
    """Build a pipeline and give it back.

    Raises
    ------
    BackendError
        If it is for a GPU that DALI cannot use.
    """
    try:
        pipeline.build()
    except (RuntimeError, MemoryError) as error:
        if device == "cpu":
            raise
        account = (str(error).strip() or type(error).__name__).partition("\n")[0]
        # Of DALI's assertions only what follows them is meant for people.
        reason = account.rpartition('" failed: ')[2].partition(". ")[0].rstrip(".")
        raise BackendError(
            f"DALI cannot use GPU {device_id}: {reason}.\n"
            "Next: hambatch doctor, or take --device cpu"
        ) from error
    return pipeline


BATCH_SIZE = 8


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
