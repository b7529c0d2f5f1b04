"""A result as text: tables, and the verdict in a sentence."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from hambatch.bench.ceiling import Ceiling

_FASTER = {"inference": "decoder", "decode": "backend", "read": "backend"}


def score_verdict(ceiling: Ceiling) -> str:
    """Say what bounds the rate, how near the ceiling is, and what the other stage could gain."""
    gain = f"{100 * (ceiling.gain - 1):.0f} %"
    counted = f" ({100 * ceiling.share_with_sentinels:.0f} % with the sentinels counted)"
    return (
        f"bound by {ceiling.bound_by}: {100 * ceiling.share:.0f} % of the ceiling"
        f"{counted if ceiling.share_with_sentinels > ceiling.share else ''}; "
        f"a faster {_FASTER[ceiling.bound_by]} would gain at most {gain}"
    )


def throughput_verdict(entries: Sequence[dict[str, Any]]) -> str:
    """Name the fastest, and those whose repeats overlap with its own."""
    best, *others = sorted(entries, key=lambda entry: -entry["median"])
    fastest = f"most images/s: {best['name']}, {rate(best['median'])}"
    near = [other["name"] for other in others if other["max"] >= best["min"]]
    if not others:
        return fastest
    return f"{fastest}; as fast within the spread: {'; '.join(near) or 'none'}"


def latency_verdict(entries: Sequence[dict[str, Any]], key: str) -> str:
    """Name the lowest percentile ``key``, or say why there is none."""
    valid = [entry for entry in entries if entry["percentiles_ms"].get(key) is not None]
    if not valid:
        return f"p{key} is not valid: it {entries[0]['not_valid'][key]}"
    best = min(valid, key=lambda entry: float(entry["percentiles_ms"][key]))
    return f"lowest p{key}: {best['name']}, {best['percentiles_ms'][key]:.2f} ms"


def rate(images_per_s: float) -> str:
    """Write a rate with one decimal, from 1000 on with none."""
    return f"{images_per_s:.1f}" if images_per_s < 1000 else f"{images_per_s:,.0f}"


def as_text(result: dict[str, Any]) -> str:
    """Lay out a result: what it was measured on, rates, latencies, ceiling, verdict."""
    parts = [_about(result), _throughput(result["throughput"])]
    if result["latency"]:
        parts.append(_latency(result["latency"]))
    if result["ceiling"]:
        parts.append(_ceiling(result["ceiling"], result["throughput"][-1]))
    return "\n\n".join([*parts, f"Verdict: {result['verdict']}"])


def _about(result: dict[str, Any]) -> str:
    source, machine, engine = result["source"], result["machine"], result["engine"]
    kind = "generated images" if source["generated"] else "images"
    left_out = f", {source['left_out']} broken ones left out" if source["left_out"] else ""
    gpu = ""
    if "gpu" in machine:
        driver = machine["driver"] or "unknown"
        gpu = f"GPU {machine['gpu_number']}: {machine['gpu']}, driver {driver}\n"
    return (
        f"{source['images']} {kind} of {source['megapixels_median']:.2f} megapixels and "
        f"{source['bytes_median'] / 1000:.0f} kB (medians){left_out}\n"
        f"{gpu}{machine['cpu']}, {machine['cores']} cores; "
        f"{engine['name']} {engine['version']}"
    )


def _throughput(entries: Sequence[dict[str, Any]]) -> str:
    rows = [("throughput", "images/s", "least", "most", "cores busy", "peak MB", "")]
    for entry in entries:
        starts = entry.get("start_s")
        rows.append(
            (
                entry["name"],
                *(rate(entry[key]) for key in ("median", "min", "max")),
                f"{entry['cpu_cores']:.2f}",
                f"{entry['peak_rss_mb']:.0f}",
                f"start {median(starts):.2f} s" if starts else "",
            )
        )
    return aligned(rows, right=True)


def _latency(entries: Sequence[dict[str, Any]]) -> str:
    keys = list(entries[0]["percentiles_ms"])
    rows = [("latency, ms", *(f"p{key}" for key in keys), "samples", "")]
    for entry in entries:
        found = [entry["percentiles_ms"][key] for key in keys]
        shown = [f"{value:.2f}" if value is not None else "-" for value in found]
        notes = "; ".join(f"p{key} {why}" for key, why in entry["not_valid"].items())
        rows.append((entry["name"], *shown, str(entry["samples"]), notes))
    return aligned(rows, right=True)


def _ceiling(ceiling: dict[str, Any], run: dict[str, Any]) -> str:
    return (
        f"besides its {run['images']} images the run scored {run['known_pictures']} sentinels: "
        "they cost time and are not counted as images\n"
        f"ceiling {rate(ceiling['images_per_s'])} images/s, {ceiling['formula']}; "
        f"share {100 * ceiling['share_of_ceiling']:.1f} %"
    )


def aligned(rows: Sequence[Sequence[str]], *, right: bool) -> str:
    """Lay out rows of cells in columns; all but the first to the ``right``, or to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        for cell, width in zip(others, widths[1:], strict=True):
            cells.append(cell.rjust(width) if right else cell.ljust(width))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
