"""Pictures and DICOM files for the tests of this folder."""

import io
from typing import Any

import numpy as np
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from hambatch.pipelines.dicom.opening import opened
from hambatch.pipelines.slow_lane import Salvaged, SlowLane
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.types import Failure
from tests.faults.dicom_writing import Pixels, encapsulated
from tests.pipelines.lanes import HOW, SPEC

ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
"""The segment without its last byte, the transform."""


def skin(seed: int = 1, width: int = 96, height: int = 72) -> Pixels:
    """Draw a dark lesion on light skin, with grain."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    lesion = np.exp(-3 * ((down - rng.uniform(-0.2, 0.2)) ** 2 + across**2))[..., None]
    light, dark = np.array([226, 172, 150]), np.array([96, 52, 44])
    grainy = light + lesion * (dark - light) + rng.normal(0, 4, (height, width, 1))
    return grainy.clip(0, 255).astype(np.uint8)


def in_ybr(picture: Pixels) -> Pixels:
    """Convert to YCbCr."""
    return np.asarray(Image.fromarray(picture).convert("YCbCr"))


def in_rgb(samples: Pixels) -> Pixels:
    """Convert YCbCr to RGB."""
    planes = [Image.fromarray(np.ascontiguousarray(samples[..., k])) for k in range(3)]
    return np.asarray(Image.merge("YCbCr", planes).convert("RGB"))


def jpeg_of_samples(samples: Pixels, *, ids: bytes = b"\0\1\2", before: bytes = b"") -> bytes:
    """Write a JPEG of three planes as they are, without a word of what they are.

    ``ids`` name the components; ``before`` are segments behind the start marker.
    """
    stream = io.BytesIO()
    # As RGB, so that nothing is transformed; then Adobe's segment, which says so, is left out.
    Image.fromarray(samples).save(stream, "JPEG", quality=95, keep_rgb=True)
    jpeg = bytearray(stream.getvalue())
    del jpeg[2:18]
    frame, scan = jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xda")
    for k, name in enumerate(ids):
        jpeg[frame + 10 + 3 * k] = jpeg[scan + 5 + 2 * k] = name
    return b"\xff\xd8" + before + bytes(jpeg[2:])


def of_jpeg(jpeg: bytes, picture: Pixels, photometric: str, **how: Any) -> bytes:
    """Put a JPEG into a DICOM file."""
    return encapsulated([jpeg], [picture], JPEGBaseline8Bit, photometric, **how)


def fetched(content: bytes, frame: int = 0) -> Fetched:
    """Make a file that was read."""
    return Fetched(0, content, "hash", frame=frame)


def decoded(content: bytes, frame: int = 0, limits: Limits = UNLIMITED) -> Salvaged | Failure:
    """Decode a file as the slow lane does, whatever it is."""
    return SlowLane(SPEC, HOW, limits).decode(opened(fetched(content, frame), limits))


def reason_of(content: bytes, frame: int = 0, limits: Limits = UNLIMITED) -> str:
    """Decode a file in vain, and give the reason."""
    found = decoded(content, frame, limits)
    assert isinstance(found, Failure), found[1]
    assert found.sha256 == "hash"
    return found.reason
