"""How good the recipe is: K folds by lesion over the whole table, no engine written."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.config import TrainOptions
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.metrics import evaluate
from hambatch.ham10000.split import assign_folds
from hambatch.probabilities import calibrated
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.chosen import chosen_options
from hambatch.training.dataset import Dataset, labels_of
from hambatch.training.features import Features
from hambatch.training.fit import best_epoch, fit
from hambatch.training.fold_figures import mean_of_folds
from hambatch.training.gathering import fingerprint, plain_pairs, training_data, training_pairs
from hambatch.training.out_of_fold import write_out_of_fold

VALIDATION_PARTS = 6
"""One in six lesions of what is not the test fold stops the training early."""

log = logging.getLogger(__name__)


def cross_validate(
    dataset: Dataset, features: Features, options: TrainOptions, work: Path
) -> dict[str, Any]:
    """Train on each fold's complement and measure on the fold, on plain images.

    The measured images keep the dataset's own class frequencies; balanced
    accuracy does not depend on them, precision, F1 and accuracy do.

    Parameters
    ----------
    work
        Existing folder for the checkpoints, and the table of out-of-fold predictions.

    Returns
    -------
    dict
        ``folds``, ``mean_of_folds`` and ``pooled`` figures, as plain JSON values.
    """
    parts = [fold_parts(dataset.table, fold, options) for fold in range(options.folds)]
    features.compute(plain_pairs(dataset.table))
    features.compute(pair for train, _, _ in parts for pair in training_pairs(train, options))
    found, chances = [], []
    for fold, (train, val, test) in enumerate(parts):
        log.info("fold %d of %d", fold + 1, options.folds)
        about = fingerprint(dataset, features, options) | {"fold": fold}
        data = training_data(features, train, val, options)
        fitted = fit(data, options, Checkpoint(work / f"fold-{fold}.npz", about))
        logits = fitted.trainer.logits(features.read(plain_pairs(test)))
        chances.append(calibrated(logits, temperature=1.0))
        best = {"epochs_run": len(fitted.history), "best_epoch": best_epoch(fitted.history)}
        found.append({"fold": fold, **best, **_figures(test, chances[-1])})
    pooled = pd.concat([test for _, _, test in parts])
    write_out_of_fold(work, pooled, np.concatenate(chances), dataset.split_sha256)
    return {
        "images": len(pooled),
        "lesions": int(pooled["group"].nunique()),
        "split_sha256": dataset.split_sha256,
        "weights_sha256": features.weights_sha256,
        "options": chosen_options(options) | {"weights": Path(options.weights).name},
        "mean_of_folds": mean_of_folds(found),
        "pooled": _with_intervals(pooled, np.concatenate(chances), options.seed),
        "folds": found,
    }


def fold_parts(
    table: pd.DataFrame, fold: int, options: TrainOptions
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Divide the table into train, val and test rows; no lesion is in two of them.

    The test parts of all folds are the whole table; the ``split`` column is
    not used.
    """
    folds = assign_folds(list(table["group"]), list(table["dx"]), options.folds, options.seed)
    test, rest = table[folds == fold], table[folds != fold]
    parts = assign_folds(list(rest["group"]), list(rest["dx"]), VALIDATION_PARTS, options.seed)
    return rest[parts != 0], rest[parts == 0], test


def _figures(rows: pd.DataFrame, chances: NDArray[np.float64]) -> dict[str, Any]:
    return evaluate(labels_of(rows["dx"]), chances.argmax(axis=1), chances)


def _with_intervals(rows: pd.DataFrame, chances: NDArray[np.float64], seed: int) -> dict[str, Any]:
    truth, predicted = labels_of(rows["dx"]), chances.argmax(axis=1)
    spans = bootstrap_intervals(truth, predicted, list(rows["group"]), seed=seed)
    return {**_figures(rows, chances), "intervals": {**spans, "grouped_by": "lesion"}}
