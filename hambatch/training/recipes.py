"""The recipes by name: from a dataset to a trained network, and what each cannot do."""

from collections.abc import Callable
from pathlib import Path

from hambatch.config import TrainOptions
from hambatch.errors import InputError
from hambatch.training.assembly import Trained
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.chosen import chosen_options
from hambatch.training.dataset import Dataset
from hambatch.training.features import PIPELINE_VERSION
from hambatch.training.finetuning.recipe import fine_tuned
from hambatch.training.fit import best_epoch, fit
from hambatch.training.gathering import fingerprint, open_features, training_data
from hambatch.training.network import join
from hambatch.training.work_folder import work_folder

Recipe = Callable[[Dataset, Path, Path, TrainOptions], Trained]


def published(dataset: Dataset, out: Path, cache: Path, options: TrainOptions) -> Trained:
    """Train a head on the cached features of a frozen base."""
    features = open_features(dataset, cache, options)
    data = training_data(features, dataset.part("train"), dataset.part("val"), options)
    checkpoint = Checkpoint(work_folder(out) / "log.npz", fingerprint(dataset, features, options))
    fitted = fit(data, options, checkpoint)
    record = {
        **chosen_options(options),
        "weights_sha256": features.weights_sha256,
        "pipeline_version": PIPELINE_VERSION,
        "epochs_run": len(fitted.history),
        "best_epoch": best_epoch(fitted.history),
    }
    network = join(features.base, fitted.trainer.head)
    return Trained(dataset, network, features.images, record)


RECIPES: dict[str, Recipe] = {"published": published, "finetune": fine_tuned}


def refuse_combinations(options: TrainOptions) -> None:
    """Refuse what fine-tuning does not do.

    Raises
    ------
    InputError
        For folds, or mixed precision.
    """
    if options.recipe != "finetune":
        return
    if options.folds:
        raise InputError(
            f"--folds is {options.folds}, wanted 0: folds of --recipe finetune are not built yet.\n"
            "Next: hambatch train --recipe finetune without --folds"
        )
    if options.mixed_precision:
        raise InputError(
            "--mixed-precision is of the published recipe, whose base is frozen; "
            "--recipe finetune trains in float32.\n"
            "Next: hambatch train --recipe finetune without --mixed-precision"
        )
