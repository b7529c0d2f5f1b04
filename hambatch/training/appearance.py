"""How a training view is made to look like another camera's: numbers and overlays, seeded."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from hambatch.pipelines.appearance import SHARPEST, Look, Looks
from hambatch.training.augmentation import PLAIN, generator
from hambatch.training.view_options import Appearance

_LOOK, _BORDER, _HAIRS, _RULER, _STRETCH = range(4, 9)
"""Streams of random numbers of a view, beside those of :mod:`hambatch.training.augmentation`."""

BEST_QUALITY = 95
"""Of JPEGs that are drawn; a better one changes hardly anything."""

MOST_HAIRS = 15

RADII = 0.9, 1.2
"""Of round borders, in halves of the side: from one that touches no side to corners alone."""

SQUARE_SHARE, WIDEST = 0.3, 0.12
"""Of the borders, and the largest width of a square one as a share of the side."""


def looks_of(options: Appearance) -> Looks:
    """Say which steps these options need."""
    return Looks(
        overlay=bool(options.border_share or options.hair_share or options.ruler_share),
        constancy=options.shades_of_grey > 0,
        tint=options.tint > 0,
        blur=options.blur > 0 and options.degraded_share > 0,
        scale=options.lowest_scale < 1 and options.degraded_share > 0,
        jpeg=options.lowest_quality > 0 and options.degraded_share > 0,
    )


def look(options: Appearance, seed: int, sha256: str, view: int, side: int) -> Look:
    """Draw the numbers of a view of ``side`` pixels."""
    draw = generator(seed, sha256, view, _LOOK)
    # All numbers are drawn, needed or not: switching one off leaves the rest as it was.
    strength, *casts = draw.random(4)
    blurs, shrinks, compresses = draw.random(3) < options.degraded_share
    blur, scale, quality = draw.random(3)
    red, green, blue = (1 + options.tint * (2 * cast - 1) for cast in casts)
    lowest = options.lowest_scale
    quality = options.lowest_quality + quality * (BEST_QUALITY - options.lowest_quality)
    return Look(
        options.shades_of_grey * strength,
        red,
        green,
        blue,
        blur=max(SHARPEST, options.blur * blur if blurs else 0.0),
        # As many between a half and a quarter of the side as between it and its half.
        side=max(1, round(side * lowest**scale)) if shrinks else side,
        quality=round(quality) if compresses and options.lowest_quality else 0.0,
    )


def stretched(
    options: Appearance, matrix: NDArray[np.float32], seed: int, sha256: str, view: int, side: int
) -> NDArray[np.float32]:
    """Make a view wider or higher about its centre: a matrix ``[2, 3]`` from view to image.

    Cameras' images have different aspects, and all are squashed to a square.
    """
    if not options.stretch or view == PLAIN:
        return matrix
    drawn = generator(seed, sha256, view, _STRETCH).uniform(-1, 1)
    factor = (1 + options.stretch) ** (drawn / 2)
    linear = np.diag([factor, 1 / factor])
    centre = np.full(2, side / 2)
    return np.column_stack(
        [matrix[:, :2] @ linear, matrix[:, :2] @ (centre - linear @ centre) + matrix[:, 2]]
    ).astype(np.float32)


def overlay(options: Appearance, seed: int, sha256: str, view: int, side: int) -> NDArray[np.uint8]:
    """Draw hairs, a ruler and a black border: uint8 ``[side, side, 4]``, RGB and how opaque it is.

    Each is drawn on a share of the views, independently of the others.
    """
    image = Image.new("RGBA", (side, side))
    for stream, share, draw_on in (
        (_HAIRS, options.hair_share, _draw_hairs),
        (_RULER, options.ruler_share, _draw_ruler),
        (_BORDER, options.border_share, _draw_border),
    ):
        draw = generator(seed, sha256, view, stream)
        if draw.random() < share:
            draw_on(image, draw)
    return np.asarray(image)


def _draw_hairs(image: Image.Image, draw: np.random.Generator) -> None:
    """Draw dark curves, some of them short, as thick as a hair is in a dermatoscope."""
    pen, side = ImageDraw.Draw(image), image.width
    for _ in range(int(draw.integers(1, MOST_HAIRS, endpoint=True))):
        shade = draw.uniform(10, 70) * np.array([1.0, *draw.uniform(0.6, 1.0, 2)])
        colour = (*shade.astype(int).tolist(), int(draw.integers(150, 256)))
        width = max(1, round(side / 224 * draw.uniform(0.7, 2.4)))
        pen.line(list(_curve(draw, side)), fill=colour, width=width, joint="curve")
    # The pen has no soft edges of its own.
    image.paste(image.filter(ImageFilter.GaussianBlur(side / 448)))


def _curve(draw: np.random.Generator, side: int) -> Iterator[tuple[float, float]]:
    """Give points of a quadratic Bezier curve."""
    start = draw.uniform(-0.1, 1.1, 2) * side
    angle, length = draw.uniform(0, 2 * np.pi), draw.uniform(0.2, 1.1) * side
    along = length * np.array([np.cos(angle), np.sin(angle)])
    across = draw.normal(0, 0.15) * np.array([-along[1], along[0]])
    for t in np.linspace(0, 1, 16):
        point = start + t * along + 2 * t * (1 - t) * across
        yield float(point[0]), float(point[1])


def _draw_ruler(image: Image.Image, draw: np.random.Generator) -> None:
    """Draw the marks of a ruler along a side, light or dark, every fifth longer."""
    pen, side = ImageDraw.Draw(image), image.width
    shade = int(draw.choice([draw.integers(0, 60), draw.integers(200, 256)]))
    colour = (shade, shade, shade, int(draw.integers(150, 256)))
    depth, step = draw.uniform(0.02, 0.12) * side, draw.uniform(0.03, 0.08) * side
    width, first = max(1, round(side / 224 * draw.uniform(0.7, 2.0))), draw.uniform(0, step)
    for k in range(int(side / step) + 1):
        start, length = first + k * step, side * (0.06 if k % 5 == 0 else 0.03)
        pen.line([(start, depth), (start, depth + length)], fill=colour, width=width)
    # Along any of the four sides.
    image.paste(image.rotate(90 * int(draw.integers(4))))


def _draw_border(image: Image.Image, draw: np.random.Generator) -> None:
    """Paint what lies outside a circle or a square near the centre."""
    side = image.width
    radius = draw.uniform(*RADII) * side / 2
    centre = side / 2 + draw.uniform(-0.06, 0.06, 2) * side
    shade = int(draw.integers(0, 20))
    rows, columns = np.abs(np.mgrid[0:side, 0:side] + 0.5 - centre[:, None, None])
    if draw.random() < SQUARE_SHARE:
        beyond = np.maximum(rows, columns) - side * (0.5 - draw.uniform(0, WIDEST))
    else:
        beyond = np.hypot(rows, columns) - radius
    # A narrow soft edge.
    opaque = np.clip(beyond / (side * draw.uniform(0.004, 0.03)) * 255, 0, 255).astype(np.uint8)
    image.paste((shade, shade, shade, 255), (0, 0), Image.fromarray(opaque))
