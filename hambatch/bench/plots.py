"""Pictures of a result of `hambatch bench`: throughput, latency, stages."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from hambatch.system.files import refusing, replacing
from hambatch.system.plotting import require_matplotlib

STYLES = (
    {"marker": "o", "linestyle": "-", "color": "#08306b"},
    {"marker": "s", "linestyle": "--", "color": "#d95f02"},
    {"marker": "^", "linestyle": "-.", "color": "#1b9e77"},
    {"marker": "D", "linestyle": ":", "color": "#7570b3"},
    {"marker": "v", "linestyle": "-", "color": "#e7298a"},
    {"marker": "P", "linestyle": "--", "color": "#666666"},
)
"""Distinct by marker and dashes where there is no colour; more lines begin again."""

MARKS = (("o", "#08306b"), ("s", "#3182bd"), ("D", "#fdae6b"), ("^", "#e6550d"), ("v", "#fee6ce"))
"""Marker and colour of each percentile, from the lowest; dark to light where there is no colour."""

ROOMY = 4
"""Up to so many rows, a row has place for more than one line of text."""

WIDE = 20
"""From this ratio of the fastest to the slowest stage on, the axis is logarithmic."""

PURPOSE = "the plots of hambatch bench"

Entry = dict[str, Any]
Draw = Callable[[dict[str, Any], Any], None]


def write_plots(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what was measured; a plot without figures is left out.

    Parameters
    ----------
    result
        What `hambatch bench` writes as JSON.
    folder
        Where ``throughput.png``, ``latency.png`` and ``stages.png`` go, 1200 x 750
        pixels each, replaced if they exist; it is made if it does not.

    Returns
    -------
    list of Path
        The plots that were written.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    MissingDependency
        If matplotlib is not installed.
    """
    # Not pyplot: it keeps every figure alive, and picks a backend for a screen.
    figures = require_matplotlib("matplotlib.figure", PURPOSE)
    canvases = require_matplotlib("matplotlib.backends.backend_agg", PURPOSE)
    with refusing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, draw in _plots(result).items():
        figure = figures.Figure(figsize=(8.0, 5.0), dpi=150, layout="constrained")
        canvases.FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(result, axes)
        axes.spines[["top", "right"]].set_visible(False)
        figure.suptitle(_conditions(result), fontsize=8, color="0.35", parse_math=False)
        with replacing(folder / name) as temporary:
            figure.savefig(temporary, format="png")
        written.append(folder / name)
    return written


def _plots(result: dict[str, Any]) -> dict[str, Draw]:
    """Name the plots that there are figures for, and what draws them."""
    lines = _lines(_swept(result)).values()
    stages = {one["stage"] for line in lines for one in line}
    found: dict[str, Draw] = {}
    # Single points of several stages are bars only.
    if len(stages) == 1 or any(len(line) > 1 for line in lines):
        found["throughput.png"] = draw_throughput
    if any(_known(one) for one in result["latency"]):
        found["latency.png"] = draw_latency
    # A single bar compares nothing.
    if len(result["stages"]) > 1:
        found["stages.png"] = draw_stages
    return found


def _conditions(result: dict[str, Any]) -> str:
    machine = result["machine"]
    images = "synthetic" if result["source"]["generated"] else "given"
    return (
        f"hambatch {result['hambatch']}, bench {result['what']}; {machine['cores']} cores, "
        f"{machine['cpu']}; {result['source']['images']} {images} images"
    )


def draw_throughput(result: dict[str, Any], axes: Any) -> None:
    """Draw the median of the repeats, and bars from the least to the most of them."""
    lines = _lines(_swept(result))
    for (label, line), style in zip(lines.items(), cycle(STYLES), strict=False):
        medians = [one["median"] for one in line]
        below = [one["median"] - one["min"] for one in line]
        above = [one["max"] - one["median"] for one in line]
        axes.errorbar(_sizes(line), medians, yerr=[below, above], label=label, capsize=4, **style)
    _batch_size_axis(axes, _swept(result), "throughput (images/s)")
    axes.set_title("Throughput: median of the repeats, least to most", fontsize=11)
    if len(lines) > 1:
        _legend(axes)


def _swept(result: dict[str, Any]) -> list[Entry]:
    return [one for one in result["throughput"] if "batch_size" in one["settings"]]


def draw_latency(result: dict[str, Any], axes: Any) -> None:
    """Draw the percentiles that had enough samples; the others are left out."""
    series = result["latency"]
    swept = [one for one in series if "batch_size" in one["settings"]]
    if len(swept) == len(series) and len(set(_sizes(swept))) > 1:
        _against_batch_size(series, axes)
    else:
        _in_rows(series, axes)
    axes.set_title("Latency: one request at a time", fontsize=11)
    _legend(axes)


def _against_batch_size(series: list[Entry], axes: Any) -> None:
    """Draw p50 filled, p99 hollow, with a thin line between them."""
    for (label, line), style in zip(_lines(series).items(), cycle(STYLES), strict=False):
        axes.plot(*_points(line, "50"), label=f"{label}, p50", **style)
        tail = style | {"linewidth": 1, "alpha": 0.8, "markerfacecolor": "white"}
        if _points(line, "99")[0]:
            axes.plot(*_points(line, "99"), label=f"{label}, p99", **tail)
    _batch_size_axis(axes, series, "latency of a request (ms)")


def _points(line: list[Entry], percentile: str) -> tuple[list[int], list[float]]:
    known = [one for one in line if percentile in _known(one)]
    return _sizes(known), [one["percentiles_ms"][percentile] for one in known]


def _in_rows(series: list[Entry], axes: Any) -> None:
    """Draw one row a series: its percentiles as marks on one line."""
    rows = range(len(series))
    known = [_known(one) for one in series]
    percentiles = sorted({name for found in known for name in found}, key=float)
    for percentile, (marker, colour) in zip(percentiles, cycle(MARKS), strict=False):
        marked = [row for row in rows if percentile in known[row]]
        style = {"marker": marker, "color": colour, "markeredgecolor": "black"}
        values = [known[row][percentile] for row in marked]
        axes.plot(values, marked, linestyle="", label=f"p{percentile}", **style)
    for row, found in enumerate(known):
        axes.plot(list(found.values()), [row] * len(found), color="0.6", zorder=0)
    between = "\n" if len(series) <= ROOMY else ", "
    names = [
        between.join(
            [label, f"n = {one['samples']}", *(f"no p{name}" for name in one["not_valid"])]
        )
        for label, one in zip(_labels(series), series, strict=True)
    ]
    axes.set_yticks(rows, names, fontsize=9)
    axes.set_ylim(len(series) - 0.5, -0.5)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.03)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("latency of a request (ms)")


def _known(one: Entry) -> dict[str, float]:
    return {name: ms for name, ms in one["percentiles_ms"].items() if ms is not None}


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
        label = f"ceiling {ceiling['images_per_s']:.4g} images/s = {ceiling['formula']}"
        if ceiling.get("share_of_ceiling"):
            label += f"; reached {ceiling['share_of_ceiling']:.1%}"
        axes.axvline(ceiling["images_per_s"], color="black", linestyle="--", label=label)
        _legend(axes)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.3g}"


def _lines(series: list[Entry]) -> dict[str, list[Entry]]:
    """Put series that differ in batch size alone into one line, by rising batch size."""
    lines: dict[str, list[Entry]] = {}
    for one, label in zip(series, _labels(series, but="batch_size"), strict=True):
        lines.setdefault(label, []).append(one)
    return {label: sorted(line, key=lambda one: _sizes([one])) for label, line in lines.items()}


def _labels(series: list[Entry], but: str = "") -> list[str]:
    """Name each series by what it does not share with all the others."""
    if not series:
        return []
    settings = [{"stage": one["stage"], **one["settings"]} for one in series]
    first, names = settings[0], dict.fromkeys(n for one in settings for n in one if n != but)
    varied = [name for name in names if any(one.get(name) != first.get(name) for one in settings)]
    shown = varied or [name for name in ("backend", "precision") if name in names] or ["stage"]
    return [", ".join(_label(n, one[n]) for n in shown if n in one) for one in settings]


def _label(name: str, value: Any) -> str:
    words = name.replace("_", " ").replace("a stream", "per stream")
    text = value if isinstance(value, str) else f"{words} {value}"
    return text.replace("$", r"\$")  # or matplotlib reads a formula


def _sizes(series: list[Entry]) -> list[int]:
    return [int(one["settings"]["batch_size"]) for one in series]


def _batch_size_axis(axes: Any, series: list[Entry], y_label: str) -> None:
    """Make the x axis one of batch sizes, a tick for each, doubling is one step; y from zero."""
    sizes = sorted(set(_sizes(series)))
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 1.4)
    axes.set_xlabel("batch size (images)")
    axes.grid(alpha=0.3)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.05)
    axes.set_ylabel(y_label)


def _legend(axes: Any) -> None:
    """Write the legend below the axes, where no line runs."""
    count = len(axes.get_legend_handles_labels()[1])
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
        ncols=count if count <= 4 else 3,
        fontsize=9,
        frameon=False,
    )
