"""Cross-validation by lesion: how good a recipe is; no engine is written."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.engines.probabilities import softmax
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.out_of_fold import write_folds, write_out_of_fold
from hambatch.ham10000.split import assign_folds
from hambatch.training.dataset import Dataset, labels_of
from hambatch.training.fit import Checkpoint, best_epoch, fit
from hambatch.training.gathering import (
    fingerprint,
    open_features,
    plain_pairs,
    training_data,
    training_pairs,
)
from hambatch.training.options import TrainOptions, chosen_options

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


VALIDATION_PARTS = 6
"""One in six lesions of what is not the test fold stops the training early."""


log = logging.getLogger(__name__)


Parts = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
"""Rows to train on, to validate with, and to test on."""


Probabilities = NDArray[np.float64]


class FoldRun(NamedTuple):
    """What training a fold came to: JSON values, and float64 ``[n, 7]`` of its test rows."""

    about: dict[str, Any]
    probabilities: Probabilities


class Folds(NamedTuple):
    """How a recipe trains a fold, given its number, and sums up what all came to."""

    train: Callable[[int, Parts], FoldRun]
    weights_sha256: str
    summary: Callable[[Sequence[dict[str, Any]]], dict[str, Any]]


def cross_validate(
    dataset: Dataset, folds: Folds, options: TrainOptions, work: Path
) -> dict[str, Any]:
    """Train on each fold's complement and measure on the fold, on plain images.

    The measured images keep the dataset's own class frequencies; balanced
    accuracy does not depend on them, precision, F1 and accuracy do.

    Parameters
    ----------
    work
        Existing folder for the checkpoints, and the tables of out-of-fold predictions.

    Returns
    -------
    dict
        ``folds``, ``mean_of_folds`` and ``pooled`` figures, as plain JSON values.
    """
    found, chances, tested = [], [], []
    for fold in range(options.folds):
        log.info("fold %d of %d", fold + 1, options.folds)
        parts = fold_parts(dataset.table, fold, options)
        run = folds.train(fold, parts)
        tested.append(parts[2].assign(fold=fold))
        chances.append(run.probabilities)
        found.append({"fold": fold, **run.about, **_figures(tested[-1], chances[-1])})
    pooled, probabilities = pd.concat(tested), np.concatenate(chances)
    made = chosen_options(options) | {
        "weights": Path(options.weights).name,
        "weights_sha256": folds.weights_sha256,
    }
    write_out_of_fold(work, pooled, probabilities, dataset.split_sha256, made)
    write_folds(work, pooled)
    return {
        "images": len(pooled),
        "lesions": int(pooled["group"].nunique()),
        "split": sorted(set(pooled["split"])),
        "split_sha256": dataset.split_sha256,
        "weights_sha256": folds.weights_sha256,
        "options": chosen_options(options) | {"weights": Path(options.weights).name},
        **folds.summary(found),
        "mean_of_folds": mean_of_folds(found),
        "pooled": _with_intervals(pooled, probabilities, options.seed),
        "folds": found,
    }


def fold_parts(table: pd.DataFrame, fold: int, options: TrainOptions) -> Parts:
    """Divide the table into train, val and test rows; no lesion is in two of them.

    The test parts of all folds are the whole table; the ``split`` column is
    not used.
    """
    folds = assign_folds(list(table["group"]), list(table["dx"]), options.folds, options.seed)
    test, rest = table[folds == fold], table[folds != fold]
    parts = assign_folds(list(rest["group"]), list(rest["dx"]), VALIDATION_PARTS, options.seed)
    return rest[parts != 0], rest[parts == 0], test


def _figures(rows: pd.DataFrame, chances: Probabilities) -> dict[str, Any]:
    return evaluate(labels_of(rows["dx"]), chances.argmax(axis=1), chances)


def _with_intervals(rows: pd.DataFrame, chances: Probabilities, seed: int) -> dict[str, Any]:
    truth, predicted = labels_of(rows["dx"]), chances.argmax(axis=1)
    spans = bootstrap_intervals(truth, predicted, list(rows["group"]), seed=seed)
    return {**_figures(rows, chances), "intervals": {**spans, "grouped_by": "lesion"}}


def published_folds(dataset: Dataset, cache: Path, options: TrainOptions, work: Path) -> Folds:
    """Compute all features, then give what trains a fold; its checkpoint lies in ``work``.

    Raises
    ------
    InputError
        If weights or images cannot be had, or the augmentation makes no sense.
    """
    features = open_features(dataset, cache, options)
    trained = [fold_parts(dataset.table, fold, options)[0] for fold in range(options.folds)]
    features.compute(plain_pairs(dataset.table))
    features.compute(pair for rows in trained for pair in training_pairs(rows, options))

    def train(fold: int, parts: Parts) -> FoldRun:
        rows, val, test = parts
        about = fingerprint(dataset, features, options) | {"fold": fold}
        data = training_data(features, rows, val, options)
        fitted = fit(data, options, Checkpoint(work / f"fold-{fold}.npz", about))
        logits = fitted.trainer.logits(features.read(plain_pairs(test)))
        best = {"epochs_run": len(fitted.history), "best_epoch": best_epoch(fitted.history)}
        return FoldRun(best, softmax(logits))

    return Folds(train, features.weights_sha256, summary=lambda found: {})
