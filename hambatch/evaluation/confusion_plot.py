"""The confusion matrix as a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.atomic import write_bytes
from hambatch.evaluation.canvas import new_figure, png
from hambatch.labels import CLASSES

PURPOSE = "the confusion plot"


def plot_confusion(matrix: ArrayLike, path: Path, title: str) -> None:
    """Write the picture of :func:`confusion_png`; it appears whole or not at all.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    MissingDependency
        If matplotlib is not installed.
    """
    write_bytes(path, confusion_png(matrix, title))


def confusion_png(matrix: ArrayLike, title: str) -> bytes:
    """Draw counts and percents, coloured by the share of each true class.

    Parameters
    ----------
    matrix
        Counts ``[7, 7]``, rows truth, columns predicted, in the order of ``CLASSES``.
    title
        Shown above.

    Returns
    -------
    PNG, 1050 x 870 pixels.

    Raises
    ------
    MissingDependency
        If matplotlib is not installed.
    """
    counts = np.asarray(matrix, np.int64)
    support = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)

    figure = new_figure(7.0, 5.8, PURPOSE)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(CLASSES))
    axes.set_xticks(ticks, CLASSES)
    axes.set_yticks(
        ticks, [f"{name}\nn = {n}" for name, n in zip(CLASSES, support[:, 0], strict=True)]
    )
    axes.set(xlabel="predicted", ylabel="truth")
    axes.set_title(title, fontsize=11, parse_math=False)
    axes.tick_params(length=0)
    _write_cells(axes, counts, share)
    bar = figure.colorbar(image, ax=axes, shrink=0.83, format=lambda value, _: f"{value:.0%}")
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return png(figure)


def _write_cells(axes: Any, counts: NDArray[np.int64], share: NDArray[np.float64]) -> None:
    """Write the count, in bold on the diagonal, and the percent below it."""
    for (row, column), count in np.ndenumerate(counts):
        dark = share[row, column] > 0.5
        axes.text(
            column,
            row,
            f"{count}\n{share[row, column]:.0%}" if count else "0",
            ha="center",
            va="center",
            color="white" if dark else "black" if count else "0.6",
            fontsize=10,
            fontweight="bold" if row == column else "normal",
        )
