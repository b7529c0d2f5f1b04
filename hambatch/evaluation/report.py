"""An evaluation as text for a terminal."""

from typing import Any

HEADLINES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc_malignant": "ROC AUC malignant",
    "roc_auc_melanoma": "ROC AUC melanoma",
}

COLUMNS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "roc_auc": "ROC AUC",
}


def format_report(report: dict[str, Any]) -> str:
    """Lay out an evaluation as a few lines and two tables.

    Parameters
    ----------
    report
        What :func:`hambatch.evaluation.metrics.evaluate` returns; with
        ``counts`` and ``intervals``, as in
        :func:`hambatch.evaluation.comparison.compare`, it says more.
    """
    intervals = report.get("intervals", {})
    lines = _coverage(report["counts"]) if "counts" in report else [f"{report['n']} images"]
    lines.append("")
    for key, name in HEADLINES.items():
        low, high = intervals.get(key, (None, None))
        interval = f"   {low:.3f} to {high:.3f}" if low is not None else ""
        lines.append(f"{name:18}{_number(report[key]):>7}{interval}")
    lines += ["", f"{'class':6}{'images':>7}" + "".join(f"{c:>13}" for c in COLUMNS.values())]
    for name, figures in report["classes"].items():
        cells = "".join(f"{_number(figures[key]):>13}" for key in COLUMNS)
        lines.append(f"{name:6}{figures['support']:>7}{cells}")
    if intervals:
        lines += ["", _method(intervals)]
    return "\n".join(lines)


def _coverage(counts: dict[str, Any]) -> list[str]:
    """Tell how much of the truth the figures are about, loudly if not all of it."""
    scored, wanted = counts["scored"], counts["truth"]
    lines = [f"{scored} of {wanted} images scored"]
    if scored < wanted:
        lines[0] = f"WARNING: only {lines[0]} ({scored / wanted:.1%}); the figures leave out:"
    for key, what in (("failed", "failed"), ("missing", "without a prediction")):
        if counts[key]:
            names = ", ".join(counts[f"{key}_named"])
            more = ", ..." if counts[key] > len(counts[f"{key}_named"]) else ""
            lines.append(f"  {counts[key]} {what}: {names}{more}")
    if counts["predictions_without_truth"]:
        lines.append(
            f"predictions without a truth, not used: {counts['predictions_without_truth']}"
        )
    return lines


def _method(intervals: dict[str, Any]) -> str:
    return (
        f"{intervals['level']:.0%} intervals: percentile bootstrap, {intervals['resamples']} "
        f"resamples of {intervals['groups']} {intervals.get('grouped_by', 'group')}s"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
