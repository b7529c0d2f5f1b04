"""DICOM files that lack one part: of the file, of a frame, or of what the header needs.

Functions as in ``jpeg_absences``. What lies in a frame is written anew with lengths that are right.
"""

import io
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_fragments, parse_basic_offsets
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from tests.faults.dicom_writing import DICOM_ENCODINGS, encapsulated, written

Rng = np.random.Generator
Lacking = tuple[str, bytes] | None

END = b"\xff\xd9"
TILE = b"\xff\x90"
CODES = (1, 0, 2, 3, 4, 5, 6, 7, 8)
"""Sizes of a difference in bits, by their codes."""


def jpeg_2000_of(picture: Image.Image, **options: Any) -> bytes:
    """Write a codestream of JPEG 2000."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG2000", no_jp2=True, **options)
    return stream.getvalue()


def jpeg_2000(picture: Image.Image, **options: Any) -> bytes:
    """Write JPEG 2000 as Pillow does: in tiles or layers, the colours transformed."""
    stream = jpeg_2000_of(picture, mct=1, **options)
    lossy = options.get("irreversible")
    photometric = "YBR_ICT" if lossy else "YBR_RCT"
    return encapsulated([stream], [np.asarray(picture)], JPEG2000, photometric)


def lossless_jpeg(picture: Image.Image) -> bytes:
    """Write lossless JPEG (ITU-T T.81, annex H) that predicts each sample from the one before."""
    samples = np.asarray(picture)
    return encapsulated([lossless_jpeg_of(samples)], [samples], JPEGLosslessSV1, "RGB")


def lossless_jpeg_of(samples: NDArray[np.uint8]) -> bytes:
    """Write the codestream: all codes of 4 bits, the number of bits of the difference behind it."""
    height, width, count = samples.shape
    before = np.empty(samples.shape, int)
    before[:, 1:], before[1:, 0], before[0, 0] = samples[:, :-1], samples[:-1, 0], 128
    bits = []
    for step in (samples - before).ravel().tolist():
        size = abs(step).bit_length()
        bits.append(f"{CODES.index(size):04b}")
        bits.append(f"{step if step > 0 else step + (1 << size) - 1:0{size}b}" if size else "")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\x00")
    frame = struct.pack(">HHBHHB", 0xFFC3, 8 + 3 * count, 8, height, width, count)
    table = struct.pack(">HHB", 0xFFC4, 19 + len(CODES), 0)
    table += bytes([0, 0, 0, len(CODES)]).ljust(16, b"\0") + bytes(CODES)
    scan = struct.pack(">HHB", 0xFFDA, 6 + 2 * count, count)
    names = b"".join(bytes([k, 0x11, 0]) for k in range(1, count + 1))
    used = b"".join(bytes([k, 0]) for k in range(1, count + 1))
    return b"\xff\xd8" + frame + names + table + scan + used + b"\x01\0\0" + data + END


ENCODINGS: dict[str, Callable[[Image.Image], bytes]] = {
    **DICOM_ENCODINGS,
    "jpeg 2000 in tiles": partial(jpeg_2000, tile_size=(32, 32)),
    "jpeg 2000 in layers": partial(
        jpeg_2000, irreversible=True, quality_mode="rates", quality_layers=[20, 10, 5]
    ),
    "lossless jpeg": lossless_jpeg,
}


def end_of_file(rng: Rng, content: bytes) -> Lacking:
    """Leave out the end of the file: some bytes, or much."""
    data = dcmread(io.BytesIO(content))
    most = max(len(data.PixelData) - 16, 2)
    lost = int(rng.integers(1, most if rng.integers(2) else min(most, 64)))
    return f"the last {lost} bytes", content[:-lost]


def bytes_of_pixels(rng: Rng, content: bytes) -> Lacking:
    """Leave out bytes in the middle of the pixels, as a transfer loses them."""
    start = content.find(b"\xe0\x7f\x10\x00") + 64
    if start < 64:
        return None
    lost = int(rng.integers(1, 65))
    at = int(rng.integers(start, len(content) - lost - 16))
    return f"{lost} bytes at {at}", content[:at] + content[at + lost :]


def pixels(rng: Rng, content: bytes) -> Lacking:
    """Leave out the pixels, and nothing else."""
    data = dcmread(io.BytesIO(content))
    del data.PixelData
    return "pixels", _written(data)


def fragment(rng: Rng, content: bytes) -> Lacking:
    """Leave out one fragment of several."""
    data = dcmread(io.BytesIO(content))
    parts = fragments_of(data)
    if len(parts) < 2:
        return None
    lost = int(rng.integers(len(parts)))
    kept = [part for k, part in enumerate(parts) if k != lost]
    return f"fragment {lost + 1} of {len(parts)}", with_fragments(data, kept)


def bytes_of_frame(rng: Rng, content: bytes) -> Lacking:
    """Leave out bytes of a compressed frame, behind its header.

    Only of those that say how long their parts are: elsewhere it is damage, which shows.
    """
    data = dcmread(io.BytesIO(content))
    if data.file_meta.TransferSyntaxUID not in (RLELossless, JPEG2000, JPEG2000Lossless):
        return None
    stream = b"".join(fragments_of(data))
    lost = int(rng.integers(12, 65))
    if len(stream) < 800:
        return None
    at = int(rng.integers(700, len(stream) - lost - 4))
    return f"{lost} bytes at {at}", with_fragments(data, [stream[:at] + stream[at + lost :]])


def end_of_frame(rng: Rng, content: bytes) -> Lacking:
    """Leave out the end of a compressed frame; its end marker is there."""
    data = dcmread(io.BytesIO(content))
    stream = b"".join(fragments_of(data))
    if not stream:
        return None
    end = b"" if data.file_meta.TransferSyntaxUID == RLELossless else END
    kept = int(rng.integers(min(700, len(stream) // 2), len(stream) - 8))
    return f"all after {kept} bytes", with_fragments(data, [stream[:kept] + end])


def stretch_of_frame(rng: Rng, content: bytes) -> Lacking:
    """Let zeros stand for a stretch of a compressed frame, as a lost disk block leaves them."""
    data = dcmread(io.BytesIO(content))
    stream = b"".join(fragments_of(data))
    lost = int(rng.integers(200, 400))
    if len(stream) < 1200:
        return None
    at = int(rng.integers(700, len(stream) - lost - 4))
    filled = stream[:at] + bytes(lost) + stream[at + lost :]
    return f"{lost} bytes at {at}, now zeros", with_fragments(data, [filled])


def segment(rng: Rng, content: bytes) -> Lacking:
    """Leave out what one segment of an RLE holds, and say so in its header, or do not."""
    data = dcmread(io.BytesIO(content))
    if data.file_meta.TransferSyntaxUID != RLELossless:
        return None
    stream = b"".join(fragments_of(data))
    starts = [int.from_bytes(stream[4 * k : 4 * k + 4], "little") for k in (1, 2, 3)]
    lost = int(rng.integers(3))
    ends = [*starts[1:], len(stream)]
    gone = ends[lost] - starts[lost]
    moved = [start - gone * (k > lost) for k, start in enumerate(starts)]
    if rng.integers(2):
        moved = [start for k, start in enumerate(moved) if k != lost]
    head = b"".join(number.to_bytes(4, "little") for number in [len(moved), *moved])
    kept = head.ljust(64, b"\0") + stream[64 : starts[lost]] + stream[ends[lost] :]
    return f"segment {lost + 1}", with_fragments(data, [kept])


def tile(rng: Rng, content: bytes) -> Lacking:
    """Leave out one tile of a JPEG 2000 of several."""
    data = dcmread(io.BytesIO(content))
    stream = b"".join(fragments_of(data))
    at, tiles = stream.find(TILE), []
    if not stream.startswith(b"\xff\x4f\xff\x51"):
        return None
    head = stream[:at]
    while stream[at : at + 2] == TILE:
        length = int.from_bytes(stream[at + 6 : at + 10])
        tiles.append(stream[at : at + length])
        at += length
    if len(tiles) < 2:
        return None
    lost = int(rng.integers(len(tiles)))
    kept = b"".join(one for k, one in enumerate(tiles) if k != lost)
    return f"tile {lost + 1} of {len(tiles)}", with_fragments(data, [head + kept + stream[at:]])


def rows_by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim fewer rows or columns than there are, or more."""
    data = dcmread(io.BytesIO(content))
    name = ("Rows", "Columns")[int(rng.integers(2))]
    other = getattr(data, name) + int(rng.choice([-9, -1, 1, 9]))
    setattr(data, name, other)
    return f"{name} of {other}", _written(data)


def description(rng: Rng, content: bytes) -> Lacking:
    """Leave out one element that the pixels cannot be read without."""
    data = dcmread(io.BytesIO(content))
    names = ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated")
    name = names[int(rng.integers(len(names)))]
    delattr(data, name)
    return name, _written(data)


def palette_colours(rng: Rng, content: bytes) -> Lacking:
    """Leave out colours at the end of a palette, or all of them."""
    data = dcmread(io.BytesIO(content))
    name = f"{('Red', 'Green', 'Blue')[int(rng.integers(3))]}PaletteColorLookupTableData"
    if name not in data:
        return None
    kept = 2 * int(rng.integers(256))
    setattr(data, name, data[name].value[:kept])
    return f"{name} after {kept} bytes", _written(data)


DICOM_ABSENCES = (
    end_of_file,
    bytes_of_pixels,
    pixels,
    fragment,
    bytes_of_frame,
    end_of_frame,
    stretch_of_frame,
    segment,
    tile,
    rows_by_header,
    description,
    palette_colours,
)


def fragments_of(data: FileDataset) -> list[bytes]:
    """Give the fragments of one frame; none of one that is not compressed."""
    if not data.file_meta.TransferSyntaxUID.is_encapsulated:
        return []
    stream = io.BytesIO(data.PixelData)
    parse_basic_offsets(stream)
    return list(generate_fragments(stream))


def with_fragments(data: FileDataset, fragments: Sequence[bytes]) -> bytes:
    """Write a file anew, of one frame in these fragments."""
    even = [part + bytes(len(part) % 2) for part in fragments]
    # The first item is the table of offsets, which may be empty.
    data.PixelData = (
        b"\xfe\xff\x00\xe0"
        + bytes(4)
        + b"".join(b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part for part in even)
    )
    data["PixelData"].is_undefined_length = True
    return _written(data)


def _written(data: FileDataset) -> bytes:
    return written(data, data.file_meta.TransferSyntaxUID)
