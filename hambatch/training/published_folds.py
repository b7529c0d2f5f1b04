"""Folds of the published recipe: a head each, on the features of a frozen base."""

from pathlib import Path

from hambatch.config import TrainOptions
from hambatch.probabilities import softmax
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.cross_validation import FoldRun, Folds, Parts, fold_parts
from hambatch.training.dataset import Dataset
from hambatch.training.fit import best_epoch, fit
from hambatch.training.gathering import (
    fingerprint,
    open_features,
    plain_pairs,
    training_data,
    training_pairs,
)


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
