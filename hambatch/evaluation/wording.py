"""What figures are called, and how numbers are written, on a terminal and on a page."""

from collections.abc import Sequence
from typing import Any

HEADLINES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc_malignant": "ROC AUC malignant",
    "roc_auc_melanoma": "ROC AUC melanoma",
    "average_precision_malignant": "AP malignant",
    "average_precision_melanoma": "AP melanoma",
    "ece": "ECE",
    "ece_equal_mass": "ECE equal mass",
    "brier": "Brier score",
    "log_loss": "log loss",
}

CLASS_COLUMNS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "average_precision": "AP",
}

SUBGROUP_COLUMNS = {
    "balanced_accuracy": "balanced accuracy",
    "melanoma_sensitivity": "melanoma sensitivity",
    "roc_auc_malignant": "ROC AUC malignant",
}

SUBGROUPS = {
    "age": "age, years",
    "sex": "sex",
    "localization": "localisation",
    "dx_type": "how the diagnosis was made (dx_type)",
}

RESEARCH = "Research use only: not a medical device."


def number(value: float | None) -> str:
    """Write a figure; a dash where it is not defined."""
    return "-" if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Write a difference."""
    return "-" if value is None else f"{value:+.3f}"


def span(interval: Sequence[float] | None) -> str:
    """Write an interval; nothing where there is none."""
    return "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def signed_span(interval: Sequence[float] | None) -> str:
    """Write the interval of a difference."""
    return "" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"


def method(intervals: dict[str, Any]) -> str:
    """Say where the intervals come from."""
    return (
        f"{intervals['level']:.0%} intervals: percentile bootstrap, {intervals['resamples']} "
        f"resamples of {intervals['groups']} {intervals.get('grouped_by', 'group')}s"
    )


def leak_check(found: dict[str, Any]) -> str:
    """Say what the leak check did."""
    if not found["done"]:
        return f"leak check not done: {found['why']}"
    text = (
        f"leak check: nothing in common with the {found['training_images']} training images of "
        f"{found['split']['file']} ({', '.join(found['checks'])})"
    )
    if found["assumed"]:
        text += (
            f"; NOTE: it is assumed that the engine was trained on {' and '.join(found['sides'])} "
            "of it, as neither the run nor its engine says so"
        )
    unseen = found["pictures_not_compared"]
    if any(unseen.values()):
        text += (
            f"; NOTE: pictures of {unseen['evaluated']} evaluated and {unseen['training']} "
            "training images are not here, so near-duplicates of theirs were not looked for"
        )
    if found["validation_images"]:
        text += (
            f"; NOTE: {found['validation_images']} of the evaluated images are validation images "
            "of the training, which chose by them: the figures flatter"
        )
    return text


def coverage(counts: dict[str, Any]) -> list[str]:
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
