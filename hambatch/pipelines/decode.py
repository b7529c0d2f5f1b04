"""Encoded bytes to upright uint8 RGB of the engine's size: the one DALI definition.

Scoring and training, CPU and GPU all call :func:`decode_and_resize`, so a model
sees in service what it saw in training. ``gpu`` is everywhere the number of the GPU
that decodes, as CUDA numbers them, or None for the CPU.
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
from hambatch.pipelines.options import DEFAULTS, DecoderOptions
from hambatch.system.packages import require

REFUSALS = (RuntimeError, MemoryError, ValueError, TypeError, IndexError)
"""What DALI raises for a batch: some of its errors get the class of Python's that is nearest."""

INTERPOLATIONS = {"linear": "INTERP_LINEAR"}

BATCH_SIZE = 8
"""Files that :func:`decode` decodes at a time."""


def has_dali() -> bool:
    """Tell whether DALI is installed; it has wheels for Linux only."""
    try:
        return importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:
        return False


def decode_and_resize(
    encoded: Any,
    spec: InputSpec,
    how: Preprocessing,
    gpu: int | None = None,
    decoder: DecoderOptions = DEFAULTS,
) -> Any:
    """Build the graph from encoded images to ``[height, width, 3]`` uint8 RGB.

    ``encoded`` is a DALI node of 1-D uint8 samples: whole JPEG or PNG files.

    Notes
    -----
    On the CPU, where ``decoder`` means nothing, the pixels equal Pillow's; linear interpolation
    without antialias equals ``tf.image.resize`` to rounding. On the GPU they differ by a few
    levels, so a row names its decoder, which depends on the image alone.
    """
    from nvidia.dali import fn, types

    # The field names are DALI's argument names; all apply to "mixed" only.
    device, extra = ("cpu", {}) if gpu is None else ("mixed", asdict(decoder))
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


def scoring_graph(
    batch_size: int,
    threads: int,
    spec: InputSpec,
    how: Preprocessing,
    gpu: int | None = None,
    decoder: DecoderOptions = DEFAULTS,
) -> Any:
    """Define a pipeline of ``encoded`` files and their int64 ``indices`` to indices and images.

    It is not built yet, so no GPU is needed, even with ``gpu``.
    """
    from nvidia.dali import Pipeline, fn, types

    # With a depth of 1 every `schedule_run` starts exactly the batch just fed, and the dynamic
    # executor still works on several: how far ahead is the caller's choice. With more, the
    # first call would ask for as many batches at once. Without a GPU's number DALI needs no driver.
    pipeline = Pipeline(batch_size, threads, device_id=gpu, prefetch_queue_depth=1)
    with pipeline:
        encoded = fn.external_source(name="encoded", ndim=1, dtype=types.UINT8)
        indices = fn.external_source(name="indices", ndim=1, dtype=types.INT64)
        pipeline.set_outputs(indices, decode_and_resize(encoded, spec, how, gpu, decoder))
    return pipeline


def feed(pipeline: Any, encoded: Sequence[bytes], indices: Sequence[int]) -> None:
    """Feed a batch to a pipeline of :func:`scoring_graph`."""
    pipeline.feed_input("encoded", [np.frombuffer(content, np.uint8) for content in encoded])
    pipeline.feed_input("indices", [np.array([index], np.int64) for index in indices])


def built(pipeline: Any, gpu: int | None = None) -> Any:
    """Build a pipeline and give it back; raises BackendError if DALI cannot use its GPU."""
    try:
        pipeline.build()
    except (RuntimeError, MemoryError) as error:
        if gpu is None:
            raise
        account = (str(error).strip() or type(error).__name__).partition("\n")[0]
        # Of DALI's assertions only what follows them is meant for people.
        reason = account.rpartition('" failed: ')[2].partition(". ")[0].rstrip(".")
        raise BackendError(
            f"DALI cannot use GPU {gpu}: {reason}.\nNext: hambatch doctor, or take --device cpu"
        ) from error
    return pipeline


def decode(paths: Sequence[Path], spec: InputSpec, how: Preprocessing) -> NDArray[np.uint8]:
    """Decode and resize images on the CPU: uint8 RGB ``[n, height, width, 3]``, in order.

    Raises InputError if one cannot be decoded.
    """
    require("nvidia.dali", extra="", purpose="decoding images")
    from hambatch.pipelines.pillow_lane import IN_VAIN, in_srgb

    pipeline = built(scoring_graph(BATCH_SIZE, 2, spec, how))
    parts = []
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        try:
            encoded = [in_srgb(path.read_bytes(), how) for path in batch]
            feed(pipeline, encoded, range(len(batch)))
            _, images = pipeline.run()
        except (*REFUSALS, *IN_VAIN) as error:
            raise InputError(
                f"one of {batch[0]} ... {batch[-1].name} cannot be decoded.\n"
                "Next: name a folder of intact images"
            ) from error
        parts.append(images.as_array().copy())
    return np.concatenate(parts)
