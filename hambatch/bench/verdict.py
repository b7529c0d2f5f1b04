"""What was found, in one sentence."""

from collections.abc import Sequence
from typing import Any

from hambatch.bench.ceiling import Ceiling

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
