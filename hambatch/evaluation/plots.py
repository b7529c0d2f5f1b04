"""Plots of an evaluation: confusion matrix, reliability diagram, ROC curves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.bootstrap import RELIABILITY
from hambatch.system.plotting import BLUE, GREY, ORANGE, new_figure, png

PURPOSE = "a plot of the evaluation"


def confusion_png(matrix: ArrayLike, title: str) -> bytes:
    """Draw counts and percents, coloured by the share of each true class.

    Parameters
    ----------
    matrix
        Counts ``[7, 7]``, rows truth, columns predicted, in the order of ``CLASSES``.

    Returns
    -------
    PNG, 1050 x 870 pixels.

    Raises MissingDependency if matplotlib is not installed.
    """
    counts = np.asarray(matrix, np.int64)
    support = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)

    figure = new_figure(7.0, 5.8, PURPOSE)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    rows = [f"{name}\nn = {n}" for name, n in zip(CLASSES, support[:, 0], strict=True)]
    axes.set_xticks(range(len(CLASSES)), CLASSES)
    axes.set_yticks(range(len(CLASSES)), rows)
    axes.set(xlabel="predicted", ylabel="truth")
    axes.set_title(title, fontsize=11, parse_math=False)
    axes.tick_params(length=0)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(
            column,
            row,
            f"{count}\n{share[row, column]:.0%}" if count else "0",
            ha="center",
            va="center",
            color="white" if share[row, column] > 0.5 else "black" if count else "0.6",
            fontsize=10,
            fontweight="bold" if row == column else "normal",
        )
    bar = figure.colorbar(image, ax=axes, shrink=0.83, format=lambda value, _: f"{value:.0%}")
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return png(figure)


def reliability_png(report: dict[str, Any]) -> bytes:
    """Draw the accuracy of each bin over its confidence, and how many images it has.

    Bars of the intervals are where the report has them: 900 x 1050 pixels. Raises
    MissingDependency as :func:`confusion_png`.
    """
    figure = new_figure(6.0, 7.0, PURPOSE)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins, spans = report[RELIABILITY], report["intervals"][RELIABILITY]
    _draw_diagonal(upper)
    points = []
    for k, one in enumerate(bins):
        if one["n"]:
            points.append((one["confidence"], one["accuracy"]))
            if span := spans[str(k)]:
                upper.plot([one["confidence"]] * 2, span, color=BLUE, alpha=0.4, linewidth=1.5)
    upper.plot(*zip(*points, strict=True), color=BLUE, marker="o", markersize=5, linewidth=1.2)
    upper.set(ylim=(-0.02, 1.02), ylabel="accuracy")
    title = with_interval("expected calibration error", report["ece"], report["intervals"]["ece"])
    upper.set_title(title, fontsize=11)
    edges = [one["low"] for one in bins] + [1.0]
    lower.stairs([one["n"] for one in bins], edges, fill=True, color=BLUE, alpha=0.6)
    lower.set(xlim=(0, 1), xlabel="confidence", ylabel="images")
    for axes in (upper, lower):
        open_axes(axes)
    return png(figure)


STYLES = {
    "malignant": {"color": BLUE, "linestyle": "-"},
    "melanoma": {"color": ORANGE, "linestyle": "--"},
}
"""The dashes tell the curves apart where there is no colour."""


def roc_png(report: dict[str, Any]) -> bytes:
    """Draw the curves of a report, each with its area and interval: 900 x 900 pixels.

    Raises MissingDependency as :func:`confusion_png`.
    """
    figure = new_figure(6.0, 6.0, PURPOSE)
    axes = figure.add_subplot()
    _draw_diagonal(axes)
    for name, curve in report["roc_curves"].items():
        others = "benign" if name == "malignant" else "all others"
        label = f"{name} ({curve['positives']}) against {others} ({curve['negatives']})"
        if (area := report[f"roc_auc_{name}"]) is None:
            label += ": not defined"
        else:
            interval = report["intervals"][f"roc_auc_{name}"]
            label += "\n" + with_interval("AUC", area, interval)
        axes.plot(curve["fpr"], curve["tpr"], linewidth=1.8, label=label, **STYLES[name])
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="1 - specificity (false positive rate)", ylabel="sensitivity")
    open_axes(axes)
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    return png(figure)


def _draw_diagonal(axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")


def open_axes(axes: Any) -> None:
    """Show a grid, and axes at the left and below alone."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def with_interval(name: str, value: float, interval: Sequence[float] | None) -> str:
    """Write a figure after its name, and its interval, if there is one."""
    span = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"{name} {value:.3f}{span}"
