"""JPEGs as different encoders lay them out: in one scan, one a component, or one a bit.

Pillow writes one scan, and libjpeg's usual progressive script. The scans of single components
are those of grey JPEGs: the order of blocks is the same (ITU-T T.81, A.2.2).
"""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from PIL import Image

from tests.faults.jpeg_absences import Part, parts_of, written
from tests.faults.jpeg_parts import DHT, DQT, DRI, SOF, SOS

Encode = Callable[[Image.Image], bytes]


def encoded(image: Image.Image, **options: Any) -> bytes:
    """Write a JPEG the way Pillow does."""
    stream = io.BytesIO()
    image.save(stream, format="JPEG", **{"quality": 85, **options})
    return stream.getvalue()


def component_by_component(image: Image.Image, *, halved: bool, **options: Any) -> bytes:
    """Write every component in scans of its own, the colours at half the size if ``halved``."""
    width, height = image.size
    planes = list(image.convert("YCbCr").split())
    if halved:
        small = (width + 1) // 2, (height + 1) // 2
        planes[1:] = [plane.resize(small, Image.Resampling.BOX) for plane in planes[1:]]
    single = [parts_of(encoded(plane, **options)) for plane in planes]
    tables = [part for part in single[0] if part.marker == DQT]
    scans = [
        _of_component(part, k + 1) if part.marker == SOS else part
        for k, parts in enumerate(single)
        for part in parts
        if part.marker in (DHT, DRI, SOS)
    ]
    (frame,) = (part for part in single[0] if part.marker in SOF)
    size = bytes([8]) + height.to_bytes(2) + width.to_bytes(2)
    fields = bytes([1, 0x22 if halved else 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    payload = size + b"\3" + fields
    header = bytes([0xFF, frame.marker]) + (len(payload) + 2).to_bytes(2) + payload
    return written([*tables, Part(frame.marker, header), *scans])


def _of_component(scan: Part, k: int) -> Part:
    return Part(SOS, scan.segment[:5] + bytes([k]) + scan.segment[6:], scan.data)


def _grey(image: Image.Image, **options: Any) -> bytes:
    return encoded(image.convert("L"), **options)


def _cmyk(image: Image.Image, **options: Any) -> bytes:
    return encoded(image.convert("CMYK"), **options)


JPEG_ENCODINGS: dict[str, Encode] = {
    "progressive": partial(encoded, progressive=True),
    "component by component": partial(component_by_component, halved=False),
    "restart": partial(encoded, restart_marker_rows=1),
    "optimised": partial(encoded, optimize=True),
    "progressive, component by component": partial(
        component_by_component, halved=True, progressive=True
    ),
    "baseline": encoded,
    "grey, progressive": partial(_grey, progressive=True),
    "component by component, optimised": partial(
        component_by_component, halved=True, optimize=True
    ),
    "progressive without subsampling": partial(encoded, progressive=True, subsampling=0),
    "progressive, restart": partial(encoded, progressive=True, restart_marker_blocks=5),
    "component by component, restart": partial(
        component_by_component, halved=True, restart_marker_rows=1
    ),
    "grey": _grey,
    "cmyk, progressive": partial(_cmyk, progressive=True),
    "cmyk": _cmyk,
}
