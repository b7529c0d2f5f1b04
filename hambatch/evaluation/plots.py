"""Plots of an evaluation: confusion matrix, reliability diagram, ROC curves."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.bootstrap import RELIABILITY
from hambatch.system.files import write_bytes
from hambatch.system.plotting import BLUE, GREY, ORANGE, new_figure, png

CONFUSION_PURPOSE = "the confusion plot"


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

    figure = new_figure(7.0, 5.8, CONFUSION_PURPOSE)
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


RELIABILITY_PURPOSE = "the reliability plot"


def reliability_png(report: dict[str, Any]) -> bytes:
    """Draw the accuracy of each bin over its confidence, and how many images it has.

    Bars of the intervals are where the report has them: 900 x 1050 pixels.

    Raises
    ------
    MissingDependency
        If matplotlib is not installed.
    """
    figure = new_figure(6.0, 7.0, RELIABILITY_PURPOSE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = report[RELIABILITY]
    spans = report["intervals"][RELIABILITY]
    filled = [(bins[k], spans[str(k)]) for k in range(len(bins)) if bins[k]["n"]]
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    for one, span in filled:
        if span:
            upper.plot([one["confidence"]] * 2, span, color=BLUE, alpha=0.4, linewidth=1.5)
    points = [(one["confidence"], one["accuracy"]) for one, _ in filled]
    upper.plot(*zip(*points, strict=True), color=BLUE, marker="o", markersize=5, linewidth=1.2)
    upper.set(ylim=(-0.02, 1.02), ylabel="accuracy")
    upper.set_title(_title(report), fontsize=11)
    edges = [one["low"] for one in bins] + [1.0]
    lower.stairs([one["n"] for one in bins], edges, fill=True, color=BLUE, alpha=0.6)
    lower.set(xlim=(0, 1), xlabel="confidence", ylabel="images")
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def _title(report: dict[str, Any]) -> str:
    found = report["intervals"]["ece"]
    span = f" ({found[0]:.3f} to {found[1]:.3f})" if found else ""
    return f"expected calibration error {report['ece']:.3f}{span}"


ROC_PURPOSE = "the ROC plot"


STYLES = {
    "malignant": {"color": BLUE, "linestyle": "-"},
    "melanoma": {"color": ORANGE, "linestyle": "--"},
}
"""Told apart by their dashes where there is no colour."""


def roc_png(report: dict[str, Any]) -> bytes:
    """Draw the curves of a report, each with its area and interval: 900 x 900 pixels.

    Raises
    ------
    MissingDependency
        If matplotlib is not installed.
    """
    figure = new_figure(6.0, 6.0, ROC_PURPOSE)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    for name, curve in report["roc_curves"].items():
        label = _label(report, name)
        axes.plot(curve["fpr"], curve["tpr"], linewidth=1.8, label=label, **STYLES[name])
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="1 - specificity (false positive rate)", ylabel="sensitivity")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    return png(figure)


def _label(report: dict[str, Any], name: str) -> str:
    key = f"roc_auc_{name}"
    area = report[key]
    curve = report["roc_curves"][name]
    against = "benign" if name == "malignant" else "all others"
    counts = f"{name} ({curve['positives']}) against {against} ({curve['negatives']})"
    if area is None:
        return f"{counts}: not defined"
    found = report["intervals"][key]
    span = f" ({found[0]:.3f} to {found[1]:.3f})" if found else ""
    return f"{counts}\nAUC {area:.3f}{span}"
