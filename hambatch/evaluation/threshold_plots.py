"""Plots of rules with a threshold: rates, precision-recall curves, decision curves."""

from collections.abc import Iterator
from typing import Any

from hambatch.evaluation.plots import PURPOSE, STYLES, open_axes, with_interval
from hambatch.evaluation.report import RULES
from hambatch.system.plotting import BLUE, GREY, ORANGE, new_figure, png

TICKS = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def thresholds_png(report: dict[str, Any]) -> bytes:
    """Draw sensitivity and specificity over the threshold, operating points marked.

    1350 x 690 pixels. Raises MissingDependency as :func:`hambatch.evaluation.plots.confusion_png`.
    """
    figure = new_figure(9.0, 4.6, PURPOSE)
    for name, curve, axes in _panels(figure, report["threshold_curves"]):
        for rate, colour, line in (("sensitivity", BLUE, "-"), ("specificity", ORANGE, "--")):
            at = curve["threshold"][: len(curve[rate])]
            look = {"color": colour, "linestyle": line, "linewidth": 1.8}
            axes.plot(at, curve[rate], label=rate, **look)
        points = [one for one in report["operating_points"][name] if one["threshold"]]
        at = [one["threshold"] for one in points]
        axes.plot(at, [one["sensitivity"] for one in points], "o", color=BLUE, markersize=5)
        axes.set_xscale("logit")
        axes.set(xlim=(TICKS[0], 1 - TICKS[0]), ylim=(-0.02, 1.02))
        axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS], fontsize=8)
        axes.minorticks_off()
        axes.set_xlabel(f"threshold of {RULES[name]} (logit scale)")
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", fontsize=9, frameon=False, ncols=2)
    return png(figure)


def precision_recall_png(report: dict[str, Any]) -> bytes:
    """Draw both curves over their prevalence, each with its AP and interval: 900 x 900 pixels.

    Raises MissingDependency as :func:`hambatch.evaluation.plots.confusion_png`.
    """
    figure = new_figure(6.0, 6.0, PURPOSE)
    axes = figure.add_subplot()
    for name, curve in report["precision_recall_curves"].items():
        label = f"{name} ({curve['positives']} of {report['n']})"
        if (area := report[f"average_precision_{name}"]) is None:
            label += ": not defined"
        else:
            label += "\n" + with_interval(
                "AP", area, report["intervals"][f"average_precision_{name}"]
            )
        # AP takes the precision at the end of each step.
        look = {"drawstyle": "steps-pre", "linewidth": 1.8, **STYLES[name]}
        axes.plot(curve["recall"], curve["precision"], label=label, **look)
        baseline = {"linewidth": 1, "linestyle": ":", "color": STYLES[name]["color"]}
        about = f"prevalence {curve['prevalence']:.3f}"
        axes.axhline(curve["prevalence"], label=about, **baseline)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision (positive predictive value)")
    open_axes(axes)
    figure.legend(loc="outside lower center", fontsize=9, frameon=False, ncols=2)
    return png(figure)


def decision_png(report: dict[str, Any]) -> bytes:
    """Draw the net benefit over the threshold probability: 1350 x 690 pixels.

    Raises MissingDependency as :func:`hambatch.evaluation.plots.confusion_png`.
    """
    figure = new_figure(9.0, 4.6, PURPOSE)
    for _, curve, axes in _panels(figure, report["decision_curves"]):
        at = curve["threshold_probability"]
        axes.plot(at, curve["model"], color=BLUE, linewidth=1.8, label="refer if p >= pt")
        every = {"color": ORANGE, "linestyle": "--", "linewidth": 1.4, "label": "refer all"}
        axes.plot(at, curve["refer_all"], **every)
        none = {"color": GREY, "linestyle": ":", "linewidth": 1.4, "label": "refer none"}
        axes.plot(at, curve["refer_none"], **none)
        # Far below 0 nothing is to be seen: there it is better to refer no image.
        top = max(curve["prevalence"], 0.01)
        axes.set(xlim=(0, 0.5), ylim=(-0.25 * top, 1.05 * top))
        axes.set(xlabel="threshold probability pt", ylabel="net benefit")
        axes.legend(loc="upper right", fontsize=9, frameon=False)
    return png(figure)


def _panels(figure: Any, curves: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Give each target its curve and a panel, side by side."""
    for (name, curve), axes in zip(curves.items(), figure.subplots(1, len(curves)), strict=True):
        axes.set_title(name, fontsize=11)
        open_axes(axes)
        yield name, curve, axes
