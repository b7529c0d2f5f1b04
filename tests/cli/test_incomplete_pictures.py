"""A file that lacks a part of its picture, and is in order otherwise, is a failed row."""

import csv
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes

SCAN, END = b"\xff\xda", b"\xff\xd9"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(height: int, rows: list[bytes], palette: bytes = b"") -> bytes:
    """A PNG that claims ``height`` and holds ``rows``, RGB or indices of a palette."""
    channels, colour = (1, 3) if palette else (3, 2)
    size = struct.pack(">II", len(rows[0]) // channels, height)
    chunks = chunk(b"IHDR", size + bytes([8, colour, 0, 0, 0]))
    chunks += chunk(b"PLTE", palette) if palette else b""
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + chunks + pixels + chunk(b"IEND", b"")


def up_to_scan(jpeg: bytes, kept: int) -> bytes:
    """The first scans of a JPEG and its end marker."""
    place = 0
    for _ in range(kept + 1):
        place = jpeg.index(SCAN, place) + 2
    return jpeg[: place - 2] + END


def scan_by_scan(image: Image.Image, components: int) -> bytes:
    """A baseline JPEG whose components have a scan each, of which only the first ones are there.

    A grey JPEG's scan is that of a component that is not subsampled.
    """
    greys = [encoded(plane) for plane in image.convert("YCbCr").split()]
    first = greys[0]
    frame, scan = first.index(b"\xff\xc0"), first.index(SCAN)
    fields = bytes([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    content = first[:frame] + b"\xff\xc0\0\x11" + first[frame + 4 : frame + 9] + fields
    content += first[frame + 13 : scan]
    for k, grey in enumerate(greys[:components], 1):
        start = grey.index(SCAN)
        content += grey[start : start + 5] + bytes([k]) + grey[start + 6 : -len(END)]
    return content + END


def encoded(plane: Image.Image) -> bytes:
    stream = io.BytesIO()
    plane.save(stream, format="JPEG", quality=90)
    return stream.getvalue()


def of_one_name(jpeg: bytes) -> bytes:
    """The same JPEG, its components called 1, 1 and 2: a scan of 1 is the first's, or both's."""
    frame = jpeg.index(b"\xff\xc0") + 10
    for place, name in ((frame + 3, 1), (frame + 6, 2)):
        jpeg = jpeg[:place] + bytes([name]) + jpeg[place + 1 :]
    return jpeg


def with_zeros(jpeg: bytes, place: int, size: int) -> bytes:
    """The same JPEG with a hole, as a disk leaves one that lost a sector."""
    return jpeg[:place] + bytes(size) + jpeg[place + size :]


def with_symbol_twice(jpeg: bytes) -> bytes:
    """The same JPEG, the 14th symbol of its second Huffman table in place of the 15th."""
    place = jpeg.index(b"\xff\xc4", jpeg.index(b"\xff\xc4") + 2) + 4 + 17 + 14
    return jpeg[:place] + jpeg[place - 1 : place] + jpeg[place + 1 :]


PICTURE = Image.open(io.BytesIO(jpeg_bytes(3))).convert("RGB")
ROWS = [row.tobytes() for row in np.asarray(PICTURE)]
HEIGHT = len(ROWS)
PROGRESSIVE = jpeg_bytes(3, progressive=True)
FEW = PICTURE.quantize(100)
INDICES = [row.tobytes() for row in np.asarray(FEW)]
COLOURS = bytes(FEW.getpalette() or b"")[:300]
PALETTE = png(HEIGHT, INDICES, COLOURS)
BASELINE, LARGER = jpeg_bytes(3), jpeg_bytes(3, 300, 224)

WHOLE = {
    "whole.png": png(HEIGHT, ROWS),
    "whole_palette.png": png(HEIGHT, INDICES, COLOURS),
    "whole_progressive.jpg": PROGRESSIVE,
    "whole_scans.jpg": scan_by_scan(PICTURE, 3),
    "whole_trailer.jpg": BASELINE + bytes(5000),
}

LACKING = {
    "half.png": (png(HEIGHT, ROWS[: HEIGHT // 2]), "the file holds 10404 of 20808 bytes"),
    "last_row.png": (png(HEIGHT, ROWS[:-1]), "the file holds 20519 of 20808 bytes"),
    "header_half.png": (png(HEIGHT // 2, ROWS), "the file holds more pixels"),
    "palette_half.png": (png(HEIGHT, INDICES, COLOURS[:150]), "the palette has 50 colours"),
    "first_scan.jpg": (up_to_scan(PROGRESSIVE, 1), "progressive JPEG without coefficients"),
    "last_bit.jpg": (up_to_scan(PROGRESSIVE, 9), "progressive JPEG without the last bits (1)"),
    "no_colour.jpg": (scan_by_scan(PICTURE, 1), "JPEG without a scan of component 2 of 3"),
    "preallocated.jpg": (
        BASELINE[: len(BASELINE) // 2].ljust(30 * len(BASELINE), b"\0"),
        "JPEG without an end marker",
    ),
    "hole.jpg": (with_zeros(LARGER, 2583, 64), "damaged: zero bytes stand"),
    "tables.jpg": (with_symbol_twice(LARGER), "damaged: a Huffman table of the JPEG holds"),
    "one_name.jpg": (of_one_name(scan_by_scan(PICTURE, 2)), "JPEG of scans for components of"),
    "two_palettes.png": (
        PALETTE[:33] + chunk(b"PLTE", COLOURS[::-1]) + PALETTE[33:],
        "PNG with 2 palettes",
    ),
    "late_palette.png": (
        PALETTE[:33] + PALETTE[33 + 12 + 300 : -12] + chunk(b"PLTE", COLOURS) + PALETTE[-12:],
        "PNG of palette colours without a palette",
    ),
    "no_red.jpg": (scan_by_scan(PICTURE, 2), "JPEG without a scan of component 3 of 3"),
}

Scored = tuple[int, dict[str, dict[str, str]]]


@pytest.fixture(scope="module")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """The exit code and the rows of all these files in one folder."""
    place = tmp_path_factory.mktemp("incomplete")
    folder, out = place / "s", place / "preds.csv"
    folder.mkdir()
    lacking = {name: content for name, (content, _) in LACKING.items()}
    for name, content in (WHOLE | lacking).items():
        (folder / name).write_bytes(content)
    arguments = ["score", str(folder), "--out", str(out), "--engine", str(tiny_engine)]
    code = CliRunner().invoke(hambatch, arguments).exit_code
    with out.open(newline="") as stream:
        return code, {row["image"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("name", LACKING)
def test_a_file_that_lacks_a_part_of_its_picture_fails_and_says_which(
    name: str, scored: Scored
) -> None:
    code, rows = scored
    assert rows[name]["status"] == "failed"
    assert rows[name]["reason"].removeprefix("incomplete: ").startswith(LACKING[name][1])
    assert code == 3


@pytest.mark.parametrize("name", WHOLE)
def test_its_intact_twin_is_scored(name: str, scored: Scored) -> None:
    row = scored[1][name]
    assert (row["status"], row["decoder"]) == ("ok", "dali-cpu")
