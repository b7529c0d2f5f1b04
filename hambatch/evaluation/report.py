"""An evaluation as text for a terminal."""

from typing import Any

from hambatch.evaluation.wording import (
    CLASS_COLUMNS,
    HEADLINES,
    coverage,
    leak_check,
    method,
    number,
    signed,
    signed_span,
    span,
)


def format_report(report: dict[str, Any]) -> str:
    """Lay out an evaluation as a few lines and two tables.

    Parameters
    ----------
    report
        What :func:`hambatch.evaluation.metrics.evaluate` returns; with
        ``counts``, ``intervals``, ``leak_check`` and ``against``, as in
        :func:`hambatch.evaluation.comparison.compare`, it says more.
    """
    intervals = report.get("intervals", {})
    lines = coverage(report["counts"]) if "counts" in report else [f"{report['n']} images"]
    lines.append("")
    for key, name in HEADLINES.items():
        interval = span(intervals.get(key))
        lines.append(f"{name:18}{number(report[key]):>7}   {interval}".rstrip())
    lines += ["", f"{'class':6}{'images':>7}" + "".join(f"{c:>13}" for c in CLASS_COLUMNS.values())]
    for name, figures in report["classes"].items():
        cells = "".join(f"{number(figures[key]):>13}" for key in CLASS_COLUMNS)
        lines.append(f"{name:6}{figures['support']:>7}{cells}")
    if intervals:
        lines += ["", method(intervals)]
    if "leak_check" in report:
        lines.append(leak_check(report["leak_check"]))
    if report.get("against"):
        lines += ["", *_against(report)]
    return "\n".join(lines)


def _against(report: dict[str, Any]) -> list[str]:
    """Lay out the paired comparison."""
    other = report["against"]
    first, second = report["predictions"]["file"], other["predictions"]["file"]
    lines = [f"{first} (first) against {second} (second), {other['n']} images that both scored"]
    for key in ("only_first", "only_second"):
        if other[key]:
            lines.append(f"  scored by the {key.removeprefix('only_')} only: {other[key]}")
    lines += ["", f"{'':18}{'first':>7}{'second':>9}{'difference':>12}"]
    for key, name in HEADLINES.items():
        found = other["figures"][key]
        values = f"{number(found['first']):>7}{number(found['second']):>9}"
        change = f"{signed(found['difference']):>12}   {signed_span(found['interval'])}"
        lines.append(f"{name:18}{values}{change}".rstrip())
    return [*lines, "", mcnemar_line(other["mcnemar"])]


def mcnemar_line(found: dict[str, Any]) -> str:
    """Say what McNemar's test found."""
    return (
        f"McNemar's exact test of the accuracy: only the first right {found['only_first_right']}, "
        f"only the second right {found['only_second_right']}, p = {found['p_value']:.3g}"
    )
