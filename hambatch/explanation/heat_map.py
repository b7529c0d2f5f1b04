"""One explanation as a PNG: what the engine saw, and the heat map over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.classes import NAMES
from hambatch.pipelines.formats.stated import Unreadable
from hambatch.pipelines.formats.table import Format, format_of
from hambatch.pipelines.header import read_header
from hambatch.pipelines.orientation import orientation_of
from hambatch.sources.content import PNG_START
from hambatch.system.plotting import ORANGE, new_figure, png
from hambatch.types import Row


@dataclass(frozen=True)
class Explanation:
    """An image's row by the graph of the maps, FP32, and the rest if its ``status`` is ``ok``.

    ``maps`` are float32 ``[classes, rows, columns]``; ``size`` is the image's own width and
    height, if known; ``file`` the PNG's name, which shows the map of ``of_class``. ``in_table``
    is the row that the image was taken from, if there was a table: its scores are the image's.
    """

    row: Row
    in_table: Row | None = None
    maps: NDArray[np.float32] | None = None
    size: tuple[int, int] | None = None
    of_class: str = ""
    file: str = ""

    @property
    def scored(self) -> Row:
        """The row whose scores are shown: the table's own, or else that of FP32."""
        return self.in_table or self.row

    @property
    def other_label(self) -> bool:
        """Whether the graph of the maps predicts another class than the table."""
        return self.row.status == "ok" and self.row.prediction != self.scored.prediction

    def titles(self, classes: Sequence[str]) -> tuple[str, str]:
        """Give the titles of the picture and of its map: each number with what computed it."""
        scored, place = self.scored, classes.index(self.of_class)
        title = f"{_printable(self.row.image)}: predicted {_called(scored)}"
        if self.other_label:
            title += f"\nWARNING: the map is of {self.row.backend}, which predicts "
            title += f"{self.row.prediction} {max(self.row.probabilities):.3f}"
        p, of_map = scored.probabilities[place], self.row.probabilities[place]
        about = f"for {self.of_class} ({NAMES[self.of_class]}), p = {p:.3f} ({scored.backend})"
        if self.in_table and (scored.backend, p) != (self.row.backend, of_map):
            about += f"\nthe map is of {self.row.backend}, p = {of_map:.3f}"
        return title, about


_JPEG_EXIF, _PNG_EXIF = b"Exif\0\0", b"eXIf"

_MOST_EXIF = 65_536
"""Bytes: a JPEG's segment holds no more."""

LYING = (5, 6, 7, 8)
"""Orientations in which width and height change places."""


def shown_size(content: bytes, *, exif_orientation: bool) -> tuple[int, int] | None:
    """Give width and height in pixels; None where the header does not say for certain.

    ``exif_orientation``: whether the engine's preprocessing turns images upright.
    """
    if other := format_of(content):
        return _shown_size_of(other, content, exif_orientation)
    header = read_header(content)
    if header is None or header.odd_exif or not header.pixels:
        return None
    size = header.width, header.height
    if exif_orientation and header.exifs and orientation_of(_exif(content)) in LYING:
        return size[::-1]
    return size


def _shown_size_of(other: Format, content: bytes, exif_orientation: bool) -> tuple[int, int] | None:
    try:
        found = other.stated(content)
    except Unreadable:
        return None
    size = found.width, found.height
    return size[::-1] if exif_orientation and found.orientation in LYING else size


def _exif(content: bytes) -> bytes:
    mark = _PNG_EXIF if content.startswith(PNG_START) else _JPEG_EXIF
    return content.partition(mark)[2][:_MOST_EXIF]


PURPOSE = "hambatch explain"

RESEARCH_USE_ONLY = "Research use only: not a medical device."

HEIGHT, PANEL = 4.4, 3.5
"""Inches: of the figure, and of either panel."""

WIDEST, NARROWEST = 2.0, 0.5
"""Width by height of the right panel; an image beyond that is shown smaller in it."""

STRONGEST = 0.65
"""Opacity of the heat map at its largest value; at 0 all of the image shows through."""

COLOURS = "viridis"
"""Neither skin nor lesion has them, and they differ without seeing red or green."""

NAME_AT_MOST = 60


def explanation_png(found: Explanation, pixels: NDArray[np.uint8], classes: Sequence[str]) -> bytes:
    """Draw it, at 150 pixels an inch; colours are shares of the map's own largest value.

    Parameters
    ----------
    found
        Of an image that was scored: with ``maps``, ``of_class`` and, if known, ``size``.
    pixels
        uint8 ``[height, width, 3]``, as the engine saw it.
    classes
        The order of ``maps`` and probabilities.
    """
    if found.maps is None:
        raise ValueError(f"found no maps of {found.row.image}; wanted an image that was scored")
    heat = found.maps[classes.index(found.of_class)]
    rows, columns = pixels.shape[:2]
    width, height = found.size or (columns, rows)
    share = min(max(width / height, NARROWEST), WIDEST)
    figure = new_figure(PANEL * (1 + share) + 1.2, HEIGHT, PURPOSE)
    left, right = figure.subplots(1, 2, width_ratios=[1, share])
    for axes in (left, right):
        axes.set_axis_off()
    left.imshow(pixels)
    left.set_title(f"as the engine sees it, {columns} x {rows}", fontsize=9)
    title, of_map = found.titles(classes)
    none = "" if heat.any() else "\nno cell speaks for it: the map is 0"
    right.set_title(of_map + none, fontsize=9)
    colours = _overlay(right, pixels, heat, (width, height))
    cells = " x ".join(map(str, heat.shape))
    figure.colorbar(colours, ax=right, fraction=0.05).set_label(
        f"share of the largest of {cells} cells,\nwhich adds {heat.max():.3g} to the logit",
        fontsize=8,
    )
    colour = ORANGE if found.other_label else "black"
    figure.suptitle(title, fontsize=10, parse_math=False, color=colour)
    figure.supxlabel(f"Grad-CAM. {RESEARCH_USE_ONLY}", fontsize=8)
    return png(figure, f"{title}; {of_map}")


def _overlay(
    axes: Any, pixels: NDArray[np.uint8], heat: NDArray[np.float32], size: tuple[int, int]
) -> Any:
    """Show the map over the image, at its own width and height; give the plain colours."""
    extent = (0, size[0], size[1], 0)
    axes.imshow(pixels, extent=extent)
    shares = spread(heat, pixels.shape[:2])
    look: dict[str, Any] = {"cmap": COLOURS, "vmin": 0, "vmax": 1, "extent": extent}
    axes.imshow(shares, alpha=STRONGEST * shares, **look)
    # The bar would show the first value's opacity: it gets an image that is not visible.
    return axes.imshow(shares, visible=False, **look)


def spread(heat: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Interpolate a map linearly to ``[height, width]``, as shares of its largest value.

    A cell's value stands at its centre; beyond the outermost centres it stays the same.
    A map of zeros stays one.
    """
    from scipy.ndimage import zoom

    shares = heat.astype(np.float64) / (heat.max() or 1.0)
    factors = np.divide(shape, heat.shape)
    return np.asarray(zoom(shares, factors, order=1, mode="nearest", grid_mode=True))


def _called(row: Row) -> str:
    """Say what a row predicts, and what computed it."""
    return f"{row.prediction} {max(row.probabilities):.3f} ({row.backend})"


def _printable(name: str) -> str:
    """Keep what every font has, and both ends of a long name."""
    text = name.encode("ascii", "backslashreplace").decode()
    half = NAME_AT_MOST // 2
    return text if len(text) <= NAME_AT_MOST else f"{text[:half]}...{text[-half:]}"
