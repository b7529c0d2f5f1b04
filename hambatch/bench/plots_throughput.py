"""Throughput against batch size."""

from typing import Any

from hambatch.bench.plots_lines import (
    STYLES,
    Lines,
    batch_size_axis,
    batch_sizes,
    legend,
    lines_by_batch_size,
)


def has_throughput(result: dict[str, Any]) -> bool:
    """Tell whether there is a line to draw; single points of several stages are bars."""
    lines = _lines(result)
    stages = {one["stage"] for line in lines.values() for one in line}
    return len(stages) == 1 or any(len(line) > 1 for line in lines.values())


def _lines(result: dict[str, Any]) -> Lines:
    return lines_by_batch_size([s for s in result["throughput"] if "batch_size" in s["settings"]])


def draw_throughput(result: dict[str, Any], axes: Any) -> None:
    """Draw the median of the repeats, and bars from the least to the most of them."""
    lines = _lines(result)
    for index, (label, line) in enumerate(lines.items()):
        medians = [one["median"] for one in line]
        below = [one["median"] - one["min"] for one in line]
        above = [one["max"] - one["median"] for one in line]
        sizes = [one["settings"]["batch_size"] for one in line]
        style = STYLES[index % len(STYLES)]
        axes.errorbar(sizes, medians, yerr=[below, above], label=label, capsize=4, **style)
    batch_size_axis(axes, batch_sizes([one for line in lines.values() for one in line]))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.05)
    axes.set_ylabel("throughput (images/s)")
    axes.set_title("Throughput: median of the repeats, least to most", fontsize=11)
    if len(lines) > 1:
        legend(axes)
