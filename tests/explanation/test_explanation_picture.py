"""What is drawn: where a map is large, with which words, whatever the image is called."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hambatch.engines.classes import CLASSES
from hambatch.explanation.picture import Explanation, explanation_png, spread
from hambatch.types import Row

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
