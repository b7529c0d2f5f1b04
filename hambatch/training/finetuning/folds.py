"""Folds of fine-tuning: a network each, in a work folder of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hambatch.config import TrainOptions
from hambatch.probabilities import softmax
from hambatch.training.augmentation import check
from hambatch.training.cross_validation import FoldRun, Folds, Parts
from hambatch.training.dataset import Dataset
from hambatch.training.features import weights_sha256
from hambatch.training.finetuning.data import tuning_data
from hambatch.training.finetuning.recipe import fingerprint
from hambatch.training.finetuning.run import fine_tune
from hambatch.training.finetuning.step_checkpoint import StepCheckpoint
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.gathering import load_base

LINE = ("step", "val_balanced_accuracy")
"""What the report keeps of a validation."""


def fine_tuned_folds(dataset: Dataset, cache: Path, options: TrainOptions, work: Path) -> Folds:
    """Give what trains a fold; ``work/fold-K`` holds its checkpoint and its log.

    Raises
    ------
    InputError
        If weights cannot be had, or the augmentation makes no sense.
    """
    check(options.augmentation)
    start = weights_sha256(load_base(options.weights))

    def train(fold: int, parts: Parts) -> FoldRun:
        rows, val, test = parts
        data = tuning_data(dataset.files, rows, val, options)
        folder = work / f"fold-{fold}"
        folder.mkdir(exist_ok=True)
        about = fingerprint(dataset, start, data, options) | {"fold": fold}
        # A fold begins with the weights as they were given; they are changed in place.
        added = data.adjustment(options)
        tuner = FineTuner(load_base(options.weights, options.finetune.side), options, added)
        progress = fine_tune(tuner, data, options, StepCheckpoint(folder / "steps.npz", about))
        logits = tuner.logits(data.pictures.plain(list(test["sha256"])))
        lines = [{name: getattr(line, name) for name in LINE} for line in progress.history]
        best = {"steps_run": progress.step, "best_step": progress.best().step}
        return FoldRun({**best, "validations": lines}, softmax(logits))

    return Folds(train, start, best_mean_step)


def best_mean_step(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Choose the step whose validation balanced accuracy is best in the mean over the folds.

    Returns
    -------
    ``best_mean_step``: the ``step``, the first of equals, of those that were validated in every
    fold; its mean ``val_balanced_accuracy``; and ``of_steps``, those it was chosen from.
    """
    folds = [
        {line["step"]: line["val_balanced_accuracy"] for line in fold["validations"]}
        for fold in found
    ]
    steps = sorted(set.intersection(*map(set, folds)))
    means = [float(np.mean([fold[step] for fold in folds])) for step in steps]
    best = int(np.argmax(means))
    chosen = {"step": steps[best], "val_balanced_accuracy": means[best], "of_steps": steps}
    return {"best_mean_step": chosen}
