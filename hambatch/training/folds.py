"""Cross-validation by lesion: how good a recipe is; no engine is written."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from hambatch.engines.classes import CLASSES
from hambatch.engines.probabilities import softmax
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.out_of_fold import write_folds, write_out_of_fold
from hambatch.ham10000.split import assign_folds
from hambatch.ham10000.table import refuse_formulas
from hambatch.training.dataset import Dataset, labels_of
from hambatch.training.options import TrainOptions
from hambatch.training.recipe import PIPELINE_VERSION, Fitted, Recipe

PUBLISHED: dict[str, Any] = {
    "accuracy": 0.6502,
    "f1": {"vasc": 0.97, "nv": 0.78, "df": 0.47, "akiec": 0.46},
}
"""Test figures of the published recipe, measured on a class-balanced test set."""

TOTALS = ("accuracy", "balanced_accuracy", "macro_f1")
FIGURES = ("precision", "sensitivity", "f1", "class_balanced_f1")

VALIDATION_PARTS = 6
"""One in six lesions of what is not the test fold stops the training early."""

Parts = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
"""Rows to train on, to validate with, and to test on."""

log = logging.getLogger(__name__)


def cross_validate(
    dataset: Dataset,
    recipe: Recipe,
    options: TrainOptions,
    work: Path,
    keep: Callable[[Fitted], None] = lambda fitted: None,
) -> dict[str, Any]:
    """Train on each fold's complement and measure on the fold, on plain images.

    The measured images keep the dataset's own class frequencies; balanced
    accuracy does not depend on them, precision, F1 and accuracy do. ``work`` gets the
    checkpoints, each in ``fold-K``, and the tables of out-of-fold predictions. ``keep`` gets each
    trained network. Returns ``folds``, ``mean_of_folds`` and ``pooled`` figures, as plain JSON
    values.
    """
    refuse_formulas(dataset.table)
    found, tested, probabilities = [], [], []
    for fold in range(options.folds):
        log.info("fold %d of %d", fold + 1, options.folds)
        train, val, test = fold_parts(dataset.table, fold, options)
        fitted = recipe.fit(train, val, work / f"fold-{fold}", fold=fold)
        keep(fitted)
        tested.append(test.assign(fold=fold))
        probabilities.append(softmax(fitted.logits(list(test["sha256"]))))
        about = {"fold": fold, **fitted.outcome}
        if fitted.validations:
            about["validations"] = list(fitted.validations)
        found.append(about | _figures(test, probabilities[-1]))
    table, pooled = pd.concat(tested), np.concatenate(probabilities)
    record = options.of_recipe() | {"weights": Path(options.weights).name}
    del record["weights_licence_file"]
    base = {"weights_sha256": fitted.weights_sha256, "pipeline_version": PIPELINE_VERSION}
    write_out_of_fold(work, table, pooled, dataset.split_sha256, record | base)
    write_folds(work, table)
    return {
        "images": len(table),
        "lesions": int(table["group"].nunique()),
        "split": sorted(set(table["split"])),
        "split_sha256": dataset.split_sha256,
        **base,
        "options": record,
        **best_mean_step(found),
        "mean_of_folds": mean_of_folds(found),
        "pooled": _with_intervals(table, pooled, options.seed),
        "folds": found,
    }


def fold_parts(table: pd.DataFrame, fold: int, options: TrainOptions) -> Parts:
    """Divide the table into train, val and test rows; no lesion is in two of them.

    The test parts of all folds are the whole table; the ``split`` column is not used. A final
    training validates nothing: val is empty.
    """
    folds = assign_folds(list(table["group"]), list(table["dx"]), options.folds, options.seed)
    test, rest = table[folds == fold], table[folds != fold]
    if options.final:
        return rest, rest.iloc[:0], test
    parts = assign_folds(list(rest["group"]), list(rest["dx"]), VALIDATION_PARTS, options.seed)
    return rest[parts != 0], rest[parts == 0], test


def _figures(rows: pd.DataFrame, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    return evaluate(labels_of(rows["dx"]), probabilities.argmax(axis=1), probabilities)


def _with_intervals(
    rows: pd.DataFrame, probabilities: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    truth, predicted = labels_of(rows["dx"]), probabilities.argmax(axis=1)
    spans = bootstrap_intervals(truth, predicted, list(rows["group"]), seed=seed)
    return {**_figures(rows, probabilities), "intervals": {**spans, "grouped_by": "lesion"}}


def best_mean_step(folds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Find the step whose validation balanced accuracy is best in the mean over the folds.

    ``best_mean_step`` has the ``step``, the first of equals, of those that were validated in
    every fold; its mean ``val_balanced_accuracy``; and ``of_steps``, those that it is the best
    of. Nothing for a recipe without such validations.
    """
    if not all("validations" in fold for fold in folds):
        return {}
    accuracies = [
        {line["step"]: line["val_balanced_accuracy"] for line in fold["validations"]}
        for fold in folds
    ]
    steps = sorted(set.intersection(*map(set, accuracies)))
    means = [float(np.mean([of_fold[step] for of_fold in accuracies])) for step in steps]
    best = int(np.argmax(means))
    return {
        "best_mean_step": {
            "step": steps[best],
            "val_balanced_accuracy": means[best],
            "of_steps": steps,
        }
    }


def mean_of_folds(folds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average what ``evaluate`` found in each fold; 2 folds at least.

    ``accuracy``, ``balanced_accuracy`` and ``macro_f1`` have ``mean``, ``sd`` and
    ``t_interval_95``; ``classes`` the mean figures of the folds in which they are
    defined (a class never predicted has no precision).

    The t interval takes the folds as independent. They share training images,
    so it is somewhat too narrow [1]_; the lesion bootstrap of the pooled
    predictions stands beside it.

    References
    ----------
    .. [1] Bengio and Grandvalet, J. Mach. Learn. Res. 5:1089 (2004)
    """
    balanced = [class_balanced_f1(fold["confusion_matrix"]) for fold in folds]
    figures = [
        {name: {**fold["classes"][name], "class_balanced_f1": of_fold[name]} for name in CLASSES}
        for fold, of_fold in zip(folds, balanced, strict=True)
    ]
    return {
        **{name: _spread([fold[name] for fold in folds]) for name in TOTALS},
        "classes": {
            name: {
                figure: _mean_defined([fold[name][figure] for fold in figures])
                for figure in FIGURES
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


def _spread(values: Sequence[float]) -> dict[str, Any]:
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    half = student_t(len(values)) * sd / len(values) ** 0.5
    return {"mean": mean, "sd": sd, "t_interval_95": [mean - half, mean + half]}


def student_t(n: int) -> float:
    """97.5 % quantile of Student's t distribution for the mean of ``n`` values."""
    return float(stdtrit(n - 1, 0.975))


def _mean_defined(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def format_folds(report: dict[str, Any]) -> str:
    """Lay the report out for a terminal, the published figures beside ours."""
    mean, pooled = report["mean_of_folds"], report["pooled"]
    lines = [f"{len(report['folds'])} folds by lesion, {report['images']} images"]
    for name, at in (("balanced accuracy", "balanced_accuracy"), ("accuracy", "accuracy")):
        for title, value, over, span in (
            (name, mean[at]["mean"], "folds", mean[at]["t_interval_95"]),
            ("  pooled", pooled[at], "lesions", pooled["intervals"][at]),
        ):
            known = f"{span[0]:.3f} to {span[1]:.3f}" if span else "has no interval"
            lines.append(f"{title:<20}{value:.3f}   (95 % over {over} {known})")
    if "best_mean_step" in report:
        best = report["best_mean_step"]
        lines.append(
            f"best step in the mean: {best['step']} "
            f"(validation balanced accuracy {best['val_balanced_accuracy']:.3f})"
        )
    lines.append(f"published accuracy  {PUBLISHED['accuracy']:.4f} (on a class-balanced test set)")
    lines += ["", f"{'class':<8}" + "".join(f"{n:>18}" for n in (*FIGURES, "published f1"))]
    for name, figures in mean["classes"].items():
        shown = ["-" if figures[at] is None else f"{figures[at]:.3f}" for at in FIGURES]
        cells = "".join(f"{text:>18}" for text in shown)
        lines.append(f"{name:<8}{cells}{PUBLISHED['f1'].get(name, '-'):>18}")
    return "\n".join(lines)
