"""The reliability diagram: what confidence promises, and what comes true."""

from typing import Any

from hambatch.evaluation.bootstrap import RELIABILITY
from hambatch.evaluation.canvas import BLUE, GREY, new_figure, png

PURPOSE = "the reliability plot"


def reliability_png(report: dict[str, Any]) -> bytes:
    """Draw the accuracy of each bin over its confidence, and how many images it has.

    Bars of the intervals are where the report has them: 900 x 1050 pixels.

    Raises
    ------
    MissingDependency
        If matplotlib is not installed.
    """
    figure = new_figure(6.0, 7.0, PURPOSE)
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
