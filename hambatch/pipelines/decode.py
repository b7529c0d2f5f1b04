"""Encoded bytes to upright uint8 RGB of the engine's size: the one DALI definition.

Scoring and training, CPU and GPU all call :func:`decode_and_resize`, so a model
sees in service what it saw in training.
"""

from dataclasses import asdict
from typing import Any

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import BackendError
from hambatch.pipelines.decoder_options import DecoderOptions

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
