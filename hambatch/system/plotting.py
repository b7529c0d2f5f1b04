"""Figures of matplotlib, and the bytes of their PNGs."""

from io import BytesIO
from typing import Any

from hambatch.system.packages import require

BLUE, ORANGE, GREY = "#08306b", "#d95f02", "0.6"


def new_figure(width: float, height: float, purpose: str) -> Any:
    """Make an empty figure, in inches at 150 pixels each.

    Raises MissingDependency if matplotlib, which ``purpose`` needs, is not installed.
    """
    # Not pyplot: it keeps every figure alive, and picks a backend for a screen.
    figures = require("matplotlib.figure", extra="plot", purpose=purpose)
    canvases = require("matplotlib.backends.backend_agg", extra="plot", purpose=purpose)
    figure = figures.Figure(figsize=(width, height), dpi=150, layout="constrained")
    canvases.FigureCanvasAgg(figure)
    return figure


def png(figure: Any, about: str = "") -> bytes:
    """Draw a figure as PNG; the file says ``about`` as its description."""
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Description": about} if about else None)
    return stream.getvalue()
