"""The recipe: given weights, tuned from a stage up, to a network that can be assembled."""

from pathlib import Path
from typing import Any

from hambatch.config import TrainOptions
from hambatch.training.assembly import Trained
from hambatch.training.augmentation import check
from hambatch.training.chosen import chosen_options
from hambatch.training.dataset import Dataset
from hambatch.training.features import PIPELINE_VERSION, weights_sha256
from hambatch.training.finetuning.data import TuningData, tuning_data
from hambatch.training.finetuning.run import fine_tune, fine_tune_blindly
from hambatch.training.finetuning.step_checkpoint import StepCheckpoint
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.gathering import load_base
from hambatch.training.network import join
from hambatch.training.work_folder import work_folder
from hambatch.versions import library_versions

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
