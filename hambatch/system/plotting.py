"""Figures of matplotlib, and the bytes of their PNGs."""

import sys
from io import BytesIO
from types import ModuleType
from typing import Any

from hambatch.system.files import outside_current_folder
from hambatch.system.packages import require

BLUE, ORANGE, GREY = "#08306b", "#d95f02", "0.6"


def require_matplotlib(module: str, purpose: str) -> ModuleType:
    """Import a module of matplotlib, which draws with its own settings, not with this machine's.

    A ``matplotlibrc`` in the current folder, which matplotlib reads first, could have it run
    LaTeX. A program that imported matplotlib before keeps its settings. Raises MissingDependency
    if matplotlib, which ``purpose`` needs, is not installed.
    """
    if "matplotlib" not in sys.modules:
        with outside_current_folder():
            require("matplotlib", extra="plot", purpose=purpose).rcdefaults()
    return require(module, extra="plot", purpose=purpose)


def new_figure(width: float, height: float, purpose: str) -> Any:
    """Make an empty figure, in inches at 150 pixels each.

    Raises MissingDependency if matplotlib, which ``purpose`` needs, is not installed.
    """
    # Not pyplot: it keeps every figure alive, and picks a backend for a screen.
    figures = require_matplotlib("matplotlib.figure", purpose)
    canvases = require_matplotlib("matplotlib.backends.backend_agg", purpose)
    figure = figures.Figure(figsize=(width, height), dpi=150, layout="constrained")
    canvases.FigureCanvasAgg(figure)
    return figure


def png(figure: Any, about: str = "") -> bytes:
    """Draw a figure as PNG; the file says ``about`` as its description."""
    stream = BytesIO()
    figure.savefig(stream, format="png", metadata={"Description": about} if about else None)
    return stream.getvalue()
