"""A result as people read it: a table, and the verdict last."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from hambatch.bench.result import Ceiling

_FASTER = {"inference": "decoder", "decode": "backend", "read": "backend"}


def of_score(ceiling: Ceiling) -> str:
    """Say what binds, how near the ceiling is, and what the other stage could bring."""
    gain = f"{100 * (ceiling.gain - 1):.0f} %"
    with_known = f" ({100 * ceiling.share_with_known:.0f} % with the known pictures counted)"
    return (
        f"bound by {ceiling.bound_by}: {100 * ceiling.share:.0f} % of the ceiling"
        f"{with_known if ceiling.share_with_known > ceiling.share else ''}; "
        f"a faster {_FASTER[ceiling.bound_by]} would gain at most {gain}"
    )


def of_throughput(entries: Sequence[dict[str, Any]]) -> str:
    """Name the fastest, and what its repeats do not tell apart from it."""
    best, *others = sorted(entries, key=lambda entry: -entry["median"])
    said = f"most images/s: {best['name']}, {rate(best['median'])}"
    near = [other["name"] for other in others if other["max"] >= best["min"]]
    if not others:
        return said
    return f"{said}; as fast within the spread: {'; '.join(near) or 'none'}"


def of_latency(entries: Sequence[dict[str, Any]], key: str) -> str:
    """Name the lowest percentile ``key``, or say why there is none."""
    valid = [entry for entry in entries if entry["percentiles_ms"].get(key) is not None]
    if not valid:
        why = entries[0]["not_valid"][key]
        return f"p{key} is not valid: it {why}"
    best = min(valid, key=lambda entry: float(entry["percentiles_ms"][key]))
    return f"lowest p{key}: {best['name']}, {best['percentiles_ms'][key]:.2f} ms"


def rate(images_per_s: float) -> str:
    """Write a rate with three figures or all its whole ones."""
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
    return (
        f"{source['images']} {kind} of {source['megapixels_median']:.2f} megapixels and "
        f"{source['bytes_median'] / 1000:.0f} kB (medians){left_out}\n"
        f"{_gpu(machine)}{machine['cpu']}, {machine['cores']} cores; "
        f"{engine['name']} {engine['version']}"
    )


def _gpu(machine: dict[str, Any]) -> str:
    if "gpu" not in machine:
        return ""
    driver = machine["driver"] or "unknown"
    return f"GPU {machine['gpu_number']}: {machine['gpu']}, driver {driver}\n"


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
    return _aligned(rows)


def _latency(entries: Sequence[dict[str, Any]]) -> str:
    keys = list(entries[0]["percentiles_ms"])
    rows = [("latency, ms", *(f"p{key}" for key in keys), "samples", "")]
    for entry in entries:
        found = [entry["percentiles_ms"][key] for key in keys]
        shown = [f"{value:.2f}" if value is not None else "-" for value in found]
        notes = "; ".join(f"p{key} {why}" for key, why in entry["not_valid"].items())
        rows.append((entry["name"], *shown, str(entry["samples"]), notes))
    return _aligned(rows)


def _ceiling(ceiling: dict[str, Any], run: dict[str, Any]) -> str:
    return (
        f"the run scored {run['known_pictures']} known pictures beside its {run['images']} images: "
        "cost, not images\n"
        f"ceiling {rate(ceiling['images_per_s'])} images/s, {ceiling['formula']}; "
        f"share {100 * ceiling['share_of_ceiling']:.1f} %"
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
