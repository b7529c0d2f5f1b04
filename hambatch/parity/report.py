"""A result as people read it: tables, why paths were not taken, and the verdict last."""

from collections.abc import Sequence
from typing import Any


def as_text(result: dict[str, Any]) -> str:
    """Lay out a document of :func:`hambatch.parity.document.as_document`."""
    paths = result["paths"]
    parts = [_about(result), _aligned(_differences(paths)), _aligned(_variations(paths))]
    reasons = [line for path in paths for line in (*_why_not(path), *_problems(path))]
    if reasons:
        parts.append("\n".join(reasons))
    if result["decoder_load"]:
        parts.append(_load(result["decoder_load"]))
    return "\n\n".join([*parts, f"Verdict: {result['verdict']}"])


def _about(result: dict[str, Any]) -> str:
    source, machine, engine = result["source"], result["machine"], result["engine"]
    left_out = f", {source['left_out']} of them left out" if source["left_out"] else ""
    reasons = [f"  {count} x {reason}" for reason, count in source["reasons"].items()]
    return "\n".join(
        [
            f"{source['taken']} of {source['listed']} images{left_out}",
            *reasons,
            f"{machine['cpu']}, {machine['cores']} cores; {engine['name']} {engine['version']}",
        ]
    )


def _differences(paths: Sequence[dict[str, Any]]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("probabilities", "images", "largest", "mean", "labels", "tolerance", "")
    ]
    for path in paths:
        compared = path["compared"]
        cells = [""] * 5
        if compared:
            cells = [
                str(compared["images"]),
                f"{compared['max_difference']:.6f}",
                f"{compared['mean_difference']:.6f}",
                str(compared["label_flips"]),
                _tolerance(path["tolerance"]),
            ]
        failed = f", {compared['failed']} failed" if compared and compared["failed"] else ""
        rows.append((path["name"], *cells, f"{path['verdict']}{failed}"))
    return rows


def _tolerance(tolerance: dict[str, Any]) -> str:
    if tolerance["label_flips"] is not None:
        return f"{tolerance['label_flips']} labels"
    mean = tolerance["mean_difference"]
    largest = f"{tolerance['max_difference']:g}"
    return largest if mean is None else f"{largest}, mean {mean:g}"


def _variations(paths: Sequence[dict[str, Any]]) -> list[Sequence[str]]:
    taken = [path for path in paths if path["varied"]]
    names = list(dict.fromkeys(v["name"] for path in taken for v in path["varied"]))
    rows: list[Sequence[str]] = [("rows, scored otherwise", *names)]
    for path in taken:
        cells = {varied["name"]: _change(varied) for varied in path["varied"]}
        rows.append((path["name"], *(cells.get(name, "") for name in names)))
    return rows


def _change(varied: dict[str, Any]) -> str:
    if varied["problem"]:
        return "failed"
    if not varied["rows_changed"]:
        return "same"
    return f"{varied['rows_changed']} change, by {varied['max_difference']:.6f}"


def _why_not(path: dict[str, Any]) -> list[str]:
    if not path["why_not"]:
        return []
    lines = [f"{path['name']} {path['verdict']}: {path['why_not']}"]
    return [*lines, f"  Next: {path['next']}"] if path["next"] else lines


def _problems(path: dict[str, Any]) -> list[str]:
    failed = [varied for varied in path["varied"] if varied["problem"]]
    return [f"{path['name']}, {varied['name']}, failed: {varied['problem']}" for varied in failed]


def _load(load: dict[str, Any]) -> str:
    return (
        f"hw_decoder_load, {load['path']}, against 1: with 0 a probability moves by up to "
        f"{load['difference_of_0']:.6f}, with 0.5 by up to {load['difference_of_half']:.6f}.\n"
        f"With 0.5, {load['as_1']} rows are as with 1, {load['as_0']} as with 0, "
        f"{load['as_both']} as with both, {load['as_neither']} as with neither; "
        f"{load['moved_by_place']} change with the place of the image"
    )


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
