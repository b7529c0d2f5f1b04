"""What is drawn: where a map is large, with which words; and the size that a viewer shows."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from hambatch.engines.classes import CLASSES
from hambatch.explanation.heat_map import Explanation, explanation_png, shown_size, spread
from hambatch.types import Row
from tests.conftest import jpeg_bytes, png_bytes

PIXELS = np.full((224, 224, 3), 200, np.uint8)
ROW = Row("a.jpg", "ok", "mel", (0.05, 0.05, 0.1, 0.1, 0.5, 0.1, 0.1))
HEAT = np.zeros((7, 7, 7), np.float32)
HEAT[4, 0, 0] = 3.0
FOUND = Explanation(ROW, maps=HEAT, size=(600, 450), of_class="mel", file="a.png")


def drawn(found: Explanation) -> np.ndarray:
    with Image.open(io.BytesIO(explanation_png(found, PIXELS, CLASSES))) as image:
        return np.asarray(image.convert("RGB"), np.int64)


def coloured(found: Explanation) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of what is neither grey picture, words nor paper, left of the bar."""
    pixels = drawn(found)[:, :1250]
    return np.nonzero(np.ptp(pixels, axis=2) > 40)


def test_the_corner_with_all_the_evidence_is_coloured_and_the_rest_is_the_picture() -> None:
    rows, columns = coloured(FOUND)
    assert len(rows) > 3000
    # The right panel begins at 70 from above and 552 from the left.
    assert 60 < rows.min() < 80
    assert 540 < columns.min() < 565
    assert rows.max() < 200
    assert columns.max() < 760


def test_a_class_without_evidence_has_no_colour() -> None:
    rows, _ = coloured(replace(FOUND, of_class="nv"))
    assert not len(rows)


@pytest.mark.parametrize("name", ["$x_1$^.jpg", "皮膚.jpg", "caf\udce9.jpg", "long" * 60])
def test_any_name_can_be_drawn(name: str) -> None:
    assert drawn(replace(FOUND, row=replace(ROW, image=name))).shape[0] == 660


@pytest.mark.parametrize("size", [None, (5000, 10), (10, 5000)])
def test_a_picture_of_any_shape_can_be_drawn(size: tuple[int, int] | None) -> None:
    height, width, _ = drawn(replace(FOUND, size=size)).shape
    assert height == 660
    assert 900 < width < 1800


def test_cells_are_spread_around_their_centres() -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[2, 5] = 8.0
    wide = spread(heat, (224, 112))
    assert wide.shape == (224, 112)
    row, column = np.unravel_index(wide.argmax(), wide.shape)
    assert abs(row - (2.5 * 32 - 0.5)) <= 1
    assert abs(column - (5.5 * 16 - 0.5)) <= 1
    assert 0.9 < wide.max() <= 1
    assert wide[:40].max() == 0


def test_a_map_of_zeros_stays_one() -> None:
    assert not spread(np.zeros((7, 7), np.float32), (224, 224)).any()


def with_exif(orientation: int, kind: str) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (64, 48), (200, 40, 90)).save(stream, format=kind, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_the_size_of_the_upright_picture(orientation: int, kind: str) -> None:
    content = with_exif(orientation, kind)
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image).size
    assert shown_size(content, exif_orientation=True) == upright
    assert shown_size(content, exif_orientation=False) == (64, 48)


def test_without_exif_it_is_the_stored_size() -> None:
    assert shown_size(jpeg_bytes(1, 96, 72), exif_orientation=True) == (96, 72)
    assert shown_size(png_bytes(1, 40, 90), exif_orientation=True) == (40, 90)


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "AVIF"])
def test_the_size_of_other_formats_is_the_upright_one_too(kind: str) -> None:
    tags = Image.Exif()
    tags[274] = 6
    own = {"tiffinfo": {274: 6}} if kind == "TIFF" else {"exif": tags.tobytes()}
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), "brown").save(stream, format=kind, **own)
    assert shown_size(stream.getvalue(), exif_orientation=True) == (48, 64)


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff\xd8\xff", jpeg_bytes(1)[:20]])
def test_what_has_no_header_has_no_size(content: bytes) -> None:
    assert shown_size(content, exif_orientation=True) is None
