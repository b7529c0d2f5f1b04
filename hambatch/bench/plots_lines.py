"""How series become lines of a plot: which belong together, what they are called."""

from typing import Any

STYLES = (
    {"marker": "o", "linestyle": "-", "color": "#08306b"},
    {"marker": "s", "linestyle": "--", "color": "#d95f02"},
    {"marker": "^", "linestyle": "-.", "color": "#1b9e77"},
    {"marker": "D", "linestyle": ":", "color": "#7570b3"},
    {"marker": "v", "linestyle": "-", "color": "#e7298a"},
    {"marker": "P", "linestyle": "--", "color": "#666666"},
)
"""Told apart by marker and dashes where there is no colour; more lines begin again."""

Lines = dict[str, list[dict[str, Any]]]


def lines_by_batch_size(series: list[dict[str, Any]]) -> Lines:
    """Put series that differ in batch size alone into one line, by rising batch size.

    Parameters
    ----------
    series
        Entries of a result, each with ``batch_size`` in its settings.
    """
    lines: Lines = {}
    for one, label in zip(series, labels(series, but="batch_size"), strict=True):
        lines.setdefault(label, []).append(one)
    for line in lines.values():
        line.sort(key=lambda one: int(one["settings"]["batch_size"]))
    return lines


def labels(series: list[dict[str, Any]], but: str = "") -> list[str]:
    """Name each series by what it does not share with all the others."""
    told = [{"stage": one["stage"], **one["settings"]} for one in series]
    names = dict.fromkeys(name for one in told for name in one if name != but)
    varied = [name for name in names if any(one.get(name) != told[0].get(name) for one in told)]
    shown = varied or [name for name in ("backend", "precision") if name in names] or ["stage"]
    return [", ".join(_said(name, one[name]) for name in shown if name in one) for one in told]


def _said(name: str, value: Any) -> str:
    words = name.replace("_", " ").replace("a stream", "per stream")
    text = value if isinstance(value, str) else f"{words} {value}"
    return text.replace("$", r"\$")  # or matplotlib reads a formula


def batch_sizes(series: list[dict[str, Any]]) -> list[int]:
    """List the batch sizes that occur."""
    return sorted({int(one["settings"]["batch_size"]) for one in series})


def batch_size_axis(axes: Any, sizes: list[int]) -> None:
    """Make the x axis one of batch sizes: a tick for each, doubling is one step."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    axes.set_xlabel("batch size (images)")
    axes.grid(alpha=0.3)


def legend(axes: Any) -> None:
    """Write the legend below the axes, where no line runs."""
    count = len(axes.get_legend_handles_labels()[1])
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
        ncols=count if count <= 4 else 3,
        fontsize=9,
        frameon=False,
    )
