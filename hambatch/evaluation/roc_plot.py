"""The ROC curves as a picture."""

from typing import Any

from hambatch.evaluation.canvas import BLUE, GREY, ORANGE, new_figure, png

PURPOSE = "the ROC plot"

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
    figure = new_figure(6.0, 6.0, PURPOSE)
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
