"""Folds of fine-tuning: a network each, in a work folder of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hambatch.backends.keras_network import join
from hambatch.engines.probabilities import softmax
from hambatch.system.packages import library_versions
from hambatch.training.assembly import Trained
from hambatch.training.augmentation import check
from hambatch.training.dataset import Dataset
from hambatch.training.features import PIPELINE_VERSION, weights_sha256
from hambatch.training.finetuning.data import TuningData, tuning_data
from hambatch.training.finetuning.run import StepCheckpoint, fine_tune, fine_tune_blindly
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.folds import FoldRun, Folds, Parts
from hambatch.training.gathering import load_base
from hambatch.training.options import TrainOptions, chosen_options
from hambatch.training.state_file import work_folder

COMPUTING = ("numpy", "nvidia-dali-cuda120", "keras", "tensorflow", "tensorflow-cpu")
"""Libraries whose next version may compute other weights."""


def fine_tuned(dataset: Dataset, out: Path, cache: Path, options: TrainOptions) -> Trained:
    """Fine-tune; no feature is cached, as the base is not frozen.

    Raises
    ------
    InputError
        If weights or images cannot be had, the augmentation makes no sense, or
        ``OUT.work`` belongs to another run.
    """
    check(options.augmentation)
    base = load_base(options.weights, options.finetune.side)
    # Of the weights that it starts from: they are changed in place.
    start = weights_sha256(base)
    final = options.finetune.final
    sides = ("train", "val") if final else ("train",)
    train = dataset.table[dataset.table["split"].isin(sides)]
    val = dataset.part("val").iloc[:0] if final else dataset.part("val")
    data = tuning_data(dataset.files, train, val, options)
    path = work_folder(out) / "steps.npz"
    checkpoint = StepCheckpoint(path, fingerprint(dataset, start, data, options))
    tuner = FineTuner(base, options, data.adjustment(options))
    progress = (fine_tune_blindly if final else fine_tune)(tuner, data, options, checkpoint)
    record = {
        **chosen_options(options),
        "weights_sha256": start,
        "pipeline_version": PIPELINE_VERSION,
        "steps_run": progress.step,
        "best_step": None if final else progress.best().step,
    }
    return Trained(dataset, join(base, tuner.head), data.pictures.on_cpu, record, sides)


def fingerprint(
    dataset: Dataset, start: str, data: TuningData, options: TrainOptions
) -> dict[str, Any]:
    """What a checkpoint is bound to: images, base, every option that changes weights, libraries."""
    versions = library_versions()
    chosen = chosen_options(options)
    numbers = chosen.pop("finetune")
    del chosen["weights"], chosen["weights_licence"], numbers["checkpoint_seconds"]
    if numbers["final"]:
        # Nothing is validated.
        del numbers["val_every"], numbers["val_patience"]
    return {
        "split_sha256": dataset.split_sha256,
        "images_sha256": data.images_sha256,
        "weights_sha256": start,
        "pipeline_version": PIPELINE_VERSION,
        **{name: versions[name] for name in COMPUTING if name in versions},
        **chosen.pop("augmentation"),
        **numbers.pop("jitter"),
        **numbers,
        **chosen,
    }


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
