"""Figures as text for a terminal, and as files."""

from pathlib import Path
from typing import Any

from hambatch.atomic import write_json
from hambatch.evaluation.confusion_plot import plot_confusion


def format_report(found: dict[str, Any]) -> str:
    """A headline, then a line a class; figures with three decimals."""
    lines = []
    for name in ("accuracy", "balanced_accuracy"):
        low, high = found["interval_95"][name] if "interval_95" in found else (None, None)
        span = f"   (95 % interval {low:.3f} to {high:.3f})" if low is not None else ""
        lines.append(f"{name.replace('_', ' '):<20}{found[name]:.3f}{span}")
    lines.append(f"{'macro F1':<20}{found['macro_f1']:.3f}")
    lines.append(f"{'melanoma ROC AUC':<20}{_or_dash(found['melanoma_roc_auc'])}")
    lines.append(f"{'malignant ROC AUC':<20}{_or_dash(found['malignant_roc_auc'])}")
    columns = ("precision", "sensitivity", "specificity", "f1", "roc_auc")
    lines += ["", f"{'class':<8}{'images':>7}" + "".join(f"{name:>13}" for name in columns)]
    for name, figures in found["per_class"].items():
        cells = "".join(f"{_or_dash(figures[column]):>13}" for column in columns)
        lines.append(f"{name:<8}{figures['support']:>7}{cells}")
    return "\n".join([*_counts(found), *lines])


def write_report(found: dict[str, Any], folder: Path) -> None:
    """Write ``evaluation.json`` and ``confusion.png`` into a folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "evaluation.json", found)
    title = f"{found['predictions']}: balanced accuracy {found['balanced_accuracy']:.3f}"
    plot_confusion(found["confusion_matrix"]["counts"], folder / "confusion.png", title)


def _counts(found: dict[str, Any]) -> list[str]:
    images = found.get("images")
    if images is None:
        return [f"{found['n']} images"]
    lines = [f"{images['scored']} of {images['in_truth']} labelled images were scored"]
    if images["failed"]:
        lines.append(f"  failed rows, not measured: {images['failed']}")
    if images["without_prediction"]:
        named = ", ".join(images["without_prediction_named"])
        lines.append(f"  without a prediction: {images['without_prediction']} ({named} ...)")
    if images["predicted_without_truth"]:
        lines.append(f"  predictions without a label: {images['predicted_without_truth']}")
    return lines


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
