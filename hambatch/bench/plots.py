"""Pictures of a result of `hambatch bench`."""

from pathlib import Path
from typing import Any

from hambatch.atomic import refusing, replacing
from hambatch.bench.plots_latency import draw_latency, has_latency
from hambatch.bench.plots_stages import draw_stages, has_stages
from hambatch.bench.plots_throughput import draw_throughput, has_throughput
from hambatch.require import require

PURPOSE = "the plots of hambatch bench"

PLOTS = {
    "throughput.png": (has_throughput, draw_throughput),
    "latency.png": (has_latency, draw_latency),
    "stages.png": (has_stages, draw_stages),
}


def write_plots(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what was measured; a picture that there are no figures for is left out.

    Parameters
    ----------
    result
        What `hambatch bench` writes as JSON.
    folder
        Where ``throughput.png``, ``latency.png`` and ``stages.png`` go, 1200 x 750
        pixels each, replaced if there; it is made if it is not there.

    Returns
    -------
    list of Path
        The pictures that were written.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    MissingDependency
        If matplotlib is not installed.
    """
    # Not pyplot: it keeps every figure alive, and picks a backend for a screen.
    figures = require("matplotlib.figure", extra="plot", purpose=PURPOSE)
    canvases = require("matplotlib.backends.backend_agg", extra="plot", purpose=PURPOSE)
    with refusing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (has_data, draw) in PLOTS.items():
        if has_data(result):
            figure = figures.Figure(figsize=(8.0, 5.0), dpi=150, layout="constrained")
            canvases.FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            draw(result, axes)
            axes.spines[["top", "right"]].set_visible(False)
            figure.suptitle(_under_what(result), fontsize=8, color="0.35", parse_math=False)
            with replacing(folder / name) as temporary:
                figure.savefig(temporary, format="png")
            written.append(folder / name)
    return written


def _under_what(result: dict[str, Any]) -> str:
    machine = result["machine"]
    images = "synthetic" if result["source"]["generated"] else "given"
    return (
        f"hambatch {result['hambatch']}, bench {result['what']}; {machine['cores']} cores, "
        f"{machine['cpu']}; {result['source']['images']} {images} images"
    )
