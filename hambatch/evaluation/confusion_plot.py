"""The confusion matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

from hambatch.atomic import replacing
from hambatch.labels import CLASSES
from hambatch.require import require


def plot_confusion(counts: Sequence[Sequence[int]], path: Path, title: str) -> None:
    """Draw counts and row shares, truth downwards, as a PNG.

    Parameters
    ----------
    counts
        ``[7][7]``: rows are the truth, columns the predictions.
    """
    require("matplotlib", extra="plot", purpose="The confusion matrix picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shares = [[n / max(sum(row), 1) for n in row] for row in counts]
    figure = Figure(figsize=(7.5, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, line in enumerate(counts):
        for column, n in enumerate(line):
            share = shares[row][column]
            colour = "white" if share > 0.5 else "black"
            text = f"{n}\n{share:.0%}" if n else "0"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(CLASSES)), CLASSES)
    axes.set_yticks(
        range(len(CLASSES)), [f"{c} ({sum(r)})" for c, r in zip(CLASSES, counts, strict=True)]
    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth (images)")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="share of the class's images")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
