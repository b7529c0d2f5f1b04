"""Figures of K folds in one: means, their spread, and the published ones beside them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hambatch.labels import CLASSES

PUBLISHED: dict[str, Any] = {
    "accuracy": 0.6502,
    "f1": {"vasc": 0.97, "nv": 0.78, "df": 0.47, "akiec": 0.46},
}
"""Test figures of the published recipe, measured on a class-balanced test set."""

# 97.5 % quantiles of Student's t distribution, for 1 to 19 degrees of freedom.
STUDENT_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)
MOST_FOLDS = len(STUDENT_T) + 1
FIGURES = ("precision", "sensitivity", "f1", "class_balanced_f1")


def mean_of_folds(folds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average what ``evaluate`` found in each fold; 2 to 20 folds.

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy`` and
        ``macro_f1`` with ``mean``, ``sd`` and ``t_interval_95``; ``classes``
        with the mean precision, sensitivity, F1 and class-balanced F1 of the
        folds in which it is defined (a class never predicted has no precision).

    Notes
    -----
    The t interval takes the folds as independent. They share training images,
    so it is somewhat too narrow [1]_; the lesion bootstrap of the pooled
    predictions stands beside it.

    References
    ----------
    .. [1] Bengio and Grandvalet, J. Mach. Learn. Res. 5:1089 (2004)
    """
    totals = ("accuracy", "balanced_accuracy", "macro_f1")
    balanced = [class_balanced_f1(fold["confusion_matrix"]) for fold in folds]
    return {
        **{name: _spread([fold[name] for fold in folds]) for name in totals},
        "classes": {
            name: {
                **{
                    figure: _mean_defined([fold["classes"][name][figure] for fold in folds])
                    for figure in ("precision", "sensitivity", "f1")
                },
                "class_balanced_f1": _mean_defined([f1[name] for f1 in balanced]),
            }
            for name in CLASSES
        },
    }


def class_balanced_f1(counts: Sequence[Sequence[int]]) -> dict[str, float | None]:
    """F1 of each class as if every class had as many test images; None where it has none.

    Rows of the confusion matrix ``[7][7]`` (truth) are scaled to shares first,
    which makes it comparable with figures from a class-balanced test set.
    """
    matrix = np.asarray(counts, np.float64)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    sizes = shares.sum(axis=1) + shares.sum(axis=0)
    f1 = 2 * np.diag(shares) / np.where(sizes > 0, sizes, 1)
    there = matrix.sum(axis=1) > 0
    return {
        name: value if known else None
        for name, value, known in zip(CLASSES, f1.tolist(), there.tolist(), strict=True)
    }


def format_folds(report: dict[str, Any]) -> str:
    """Lay the report out for a terminal, the published figures beside ours."""
    mean, pooled = report["mean_of_folds"], report["pooled"]
    lines = [f"{len(report['folds'])} folds by lesion, {report['images']} images"]
    for name, at in (("balanced accuracy", "balanced_accuracy"), ("accuracy", "accuracy")):
        low, high = mean[at]["t_interval_95"]
        lines.append(
            f"{name:<20}{mean[at]['mean']:.3f}   (95 % over folds {low:.3f} to {high:.3f})"
        )
        low, high = pooled["intervals"][at]
        lines.append(
            f"{'  pooled':<20}{pooled[at]:.3f}   (95 % over lesions {low:.3f} to {high:.3f})"
        )
    if "best_mean_step" in report:
        best = report["best_mean_step"]
        lines.append(
            f"best step in the mean: {best['step']} "
            f"(validation balanced accuracy {best['val_balanced_accuracy']:.3f})"
        )
    lines.append(f"published accuracy  {PUBLISHED['accuracy']:.4f} (on a class-balanced test set)")
    lines += ["", f"{'class':<8}" + "".join(f"{n:>18}" for n in (*FIGURES, "published f1"))]
    for name, figures in mean["classes"].items():
        cells = "".join(f"{_shown(figures[figure]):>18}" for figure in FIGURES)
        lines.append(f"{name:<8}{cells}{PUBLISHED['f1'].get(name, '-'):>18}")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> dict[str, Any]:
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    half = STUDENT_T[len(values) - 2] * sd / len(values) ** 0.5
    return {"mean": mean, "sd": sd, "t_interval_95": [mean - half, mean + half]}


def _mean_defined(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
