"""Latency: against batch size where that varies, else a row for each series."""

from itertools import cycle
from typing import Any

from hambatch.bench.plots_lines import (
    STYLES,
    batch_size_axis,
    batch_sizes,
    labels,
    legend,
    lines_by_batch_size,
)

MARKS = (("o", "#08306b"), ("s", "#3182bd"), ("D", "#fdae6b"), ("^", "#e6550d"), ("v", "#fee6ce"))
"""Marker and colour of each percentile, from the lowest; dark to light where there is no colour."""

ROOMY = 4
"""Up to so many rows, a row has place for more than one line of text."""


def has_latency(result: dict[str, Any]) -> bool:
    """Tell whether any latency was measured often enough for a percentile."""
    return any(_known(one) for one in result["latency"])


def draw_latency(result: dict[str, Any], axes: Any) -> None:
    """Draw the percentiles that had enough samples; the others are left out."""
    series = result["latency"]
    if all("batch_size" in one["settings"] for one in series) and len(batch_sizes(series)) > 1:
        _against_batch_size(series, axes)
    else:
        _rows(series, axes)


def _against_batch_size(series: list[dict[str, Any]], axes: Any) -> None:
    """Draw p50 filled, p99 hollow, with a thin line between them."""
    lines = lines_by_batch_size(series)
    for index, (label, line) in enumerate(lines.items()):
        style = STYLES[index % len(STYLES)]
        axes.plot(*_points(line, "50"), label=f"{label}, p50", **style)
        tail = style | {"linewidth": 1, "alpha": 0.8, "markerfacecolor": "white"}
        if _points(line, "99")[0]:
            axes.plot(*_points(line, "99"), label=f"{label}, p99", **tail)
    batch_size_axis(axes, batch_sizes(series))
    axes.set_ylim(0, axes.get_ylim()[1] * 1.05)
    axes.set_ylabel("latency of a request (ms)")
    axes.set_title("Latency: one request at a time", fontsize=11)
    legend(axes)


def _points(line: list[dict[str, Any]], percentile: str) -> tuple[list[int], list[float]]:
    there = [one for one in line if one["percentiles_ms"].get(percentile) is not None]
    sizes = [int(one["settings"]["batch_size"]) for one in there]
    return sizes, [one["percentiles_ms"][percentile] for one in there]


def _rows(series: list[dict[str, Any]], axes: Any) -> None:
    """Draw one row a series: its percentiles as marks on one line."""
    rows = range(len(series))
    known = [_known(one) for one in series]
    percentiles = sorted({name for found in known for name in found}, key=float)
    for percentile, (marker, colour) in zip(percentiles, cycle(MARKS), strict=False):
        there = [row for row in rows if percentile in known[row]]
        style = {"marker": marker, "color": colour, "markeredgecolor": "black"}
        values = [known[row][percentile] for row in there]
        axes.plot(values, there, linestyle="", label=f"p{percentile}", **style)
    for row, found in enumerate(known):
        axes.plot(list(found.values()), [row] * len(found), color="0.6", zorder=0)
    between = "\n" if len(series) <= ROOMY else ", "
    names = zip(labels(series), series, strict=True)
    axes.set_yticks(rows, [between.join([name, *_told(one)]) for name, one in names], fontsize=9)
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.03)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("latency of a request (ms)")
    axes.set_title("Latency: one request at a time", fontsize=11)
    legend(axes)


def _known(one: dict[str, Any]) -> dict[str, float]:
    return {name: ms for name, ms in one["percentiles_ms"].items() if ms is not None}


def _told(one: dict[str, Any]) -> list[str]:
    """Say how many samples there are, and what they were too few for."""
    return [f"n = {one['samples']}", *(f"no p{name}" for name in one["not_valid"])]
