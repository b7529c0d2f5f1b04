"""Encoded bytes to upright uint8 RGB of the engine's size: the one DALI definition.

Scoring and training, CPU and GPU all call :func:`decode_and_resize`, so a model
sees in service what it saw in training.
"""

from typing import Any

from hambatch.engines.manifest import InputSpec, Preprocessing

INTERPOLATIONS = {"linear": "INTERP_LINEAR"}


def decode_and_resize(encoded: Any, device: str, spec: InputSpec, how: Preprocessing) -> Any:
    """Build the graph from encoded images to ``[height, width, 3]`` uint8 RGB.

    Parameters
    ----------
    encoded
        DALI node of 1-D uint8 samples: whole JPEG or PNG files.
    device
        ``"cpu"``, or ``"mixed"`` to decode and resize on the GPU.

    Notes
    -----
    On the CPU the pixels equal Pillow's decode; linear interpolation without
    antialias equals ``tf.image.resize`` to rounding. On the GPU,
    ``jpeg_fancy_upsampling`` makes the chroma planes equal the CPU's.
    """
    from nvidia.dali import fn, types

    extra: dict[str, Any] = {"jpeg_fancy_upsampling": True} if device == "mixed" else {}
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
