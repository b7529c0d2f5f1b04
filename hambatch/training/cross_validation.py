"""How good the recipe is: K folds by lesion over a table, no engine written."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.config import TrainOptions
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.metrics import evaluate
from hambatch.ham10000.split import assign_folds
from hambatch.training.chosen import chosen_options
from hambatch.training.dataset import Dataset, labels_of
from hambatch.training.fold_figures import mean_of_folds
from hambatch.training.out_of_fold import write_folds, write_out_of_fold

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
