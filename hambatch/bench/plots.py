"""Pictures of a result of `hambatch bench`."""

from itertools import cycle
from pathlib import Path
from typing import Any

from hambatch.system.files import refusing, replacing
from hambatch.system.packages import require

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


WIDE = 20
"""From this ratio of the fastest to the slowest stage on, the axis is logarithmic."""


def has_stages(result: dict[str, Any]) -> bool:
    """Tell whether there are several: a single bar compares nothing."""
    return len(result["stages"]) > 1


def draw_stages(result: dict[str, Any], axes: Any) -> None:
    """Draw a bar a stage in the order of the work, and the ceiling as a dashed line."""
    stages, ceiling = result["stages"], result["ceiling"]
    rates = list(stages.values())
    rows = range(len(stages))
    logarithmic = max(rates) > WIDE * min(rates)
    if logarithmic:
        axes.set_xscale("log")
    axes.barh(rows, rates, color="#6baed6", edgecolor="#08306b", height=0.6)
    # Not beside the bars, where the ceiling's line may run through the figure.
    axes.set_yticks(rows, [f"{name}\n{_rate(rate)}" for name, rate in stages.items()])
    axes.set_ylim(len(stages) - 0.4, -0.6)
    low, high = (min(rates) / 3, max(rates) * 2) if logarithmic else (0, max(rates) * 1.15)
    axes.set_xlim(low, high)
    axes.set_xlabel("images/s" + (" (logarithmic)" if logarithmic else ""))
    axes.set_title("Images per second, by stage", fontsize=11)
    if ceiling:
        _draw_ceiling(ceiling, axes)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.3g}"


def _draw_ceiling(ceiling: dict[str, Any], axes: Any) -> None:
    label = f"ceiling {ceiling['images_per_s']:.4g} images/s = {ceiling['formula']}"
    if ceiling.get("share_of_ceiling"):
        label += f"; reached {ceiling['share_of_ceiling']:.1%}"
    axes.axvline(ceiling["images_per_s"], color="black", linestyle="--", label=label)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize=9, frameon=False)


PURPOSE = "the plots of hambatch bench"


PLOTS = {
    "throughput.png": (has_throughput, draw_throughput),
    "latency.png": (has_latency, draw_latency),
    "stages.png": (has_stages, draw_stages),
}


def write_plots(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what was measured; a picture that there are no figures for is left out.

    Parameters
    ----------
    result
        What `hambatch bench` writes as JSON.
    folder
        Where ``throughput.png``, ``latency.png`` and ``stages.png`` go, 1200 x 750
        pixels each, replaced if there; it is made if it is not there.

    Returns
    -------
    list of Path
        The pictures that were written.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    MissingDependency
        If matplotlib is not installed.
    """
    # Not pyplot: it keeps every figure alive, and picks a backend for a screen.
    figures = require("matplotlib.figure", extra="plot", purpose=PURPOSE)
    canvases = require("matplotlib.backends.backend_agg", extra="plot", purpose=PURPOSE)
    with refusing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (has_data, draw) in PLOTS.items():
        if has_data(result):
            figure = figures.Figure(figsize=(8.0, 5.0), dpi=150, layout="constrained")
            canvases.FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            draw(result, axes)
            axes.spines[["top", "right"]].set_visible(False)
            figure.suptitle(_under_what(result), fontsize=8, color="0.35", parse_math=False)
            with replacing(folder / name) as temporary:
                figure.savefig(temporary, format="png")
            written.append(folder / name)
    return written


def _under_what(result: dict[str, Any]) -> str:
    machine = result["machine"]
    images = "synthetic" if result["source"]["generated"] else "given"
    return (
        f"hambatch {result['hambatch']}, bench {result['what']}; {machine['cores']} cores, "
        f"{machine['cpu']}; {result['source']['images']} {images} images"
    )
