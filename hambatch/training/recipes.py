"""The recipes by name: from a dataset to a trained network, and what each cannot do."""

from collections.abc import Callable
from pathlib import Path

from hambatch.backends.keras_network import join
from hambatch.errors import InputError
from hambatch.training.assembly import Trained
from hambatch.training.dataset import Dataset
from hambatch.training.features import PIPELINE_VERSION
from hambatch.training.finetuning.recipe import fine_tuned, fine_tuned_folds
from hambatch.training.fit import Checkpoint, best_epoch, fit
from hambatch.training.folds import Folds, published_folds
from hambatch.training.gathering import fingerprint, open_features, training_data
from hambatch.training.options import FineTuneOptions, TrainOptions, chosen_options
from hambatch.training.state_file import work_folder

HALVINGS = 32
"""What the five stages of ResNet50 divide an image's side by."""


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


FOLDS: dict[str, Callable[[Dataset, Path, TrainOptions, Path], Folds]] = {
    "published": published_folds,
    "finetune": fine_tuned_folds,
}


RECIPES: dict[str, Recipe] = {"published": published, "finetune": fine_tuned}


def refuse_combinations(options: TrainOptions) -> None:
    """Refuse what fine-tuning does not do, and options that contradict each other.

    Raises
    ------
    InputError
        For XLA in mixed precision, folds of a final training, a step to stop at that it has not, a
        side that stages do not halve evenly, or one of crops that no step sees.
    """
    if options.recipe != "finetune":
        return
    tune = options.finetune
    if options.folds and tune.final:
        raise InputError(
            f"--final is a training without validation, --folds {options.folds} are many with it.\n"
            "Next: hambatch train --recipe finetune without --final"
        )
    if tune.stop_step and not tune.final:
        raise InputError(
            f"--stop-step is {tune.stop_step}, wanted it with --final; else validation chooses.\n"
            "Next: hambatch train --recipe finetune without --stop-step"
        )
    if tune.stop_step > tune.steps:
        raise InputError(
            f"--stop-step is {tune.stop_step}, wanted at most the {tune.steps} of --steps.\n"
            "Next: name the --steps of the training that the step was chosen in"
        )
    if tune.side % HALVINGS:
        raise InputError(
            f"--side is {tune.side}, wanted a multiple of {HALVINGS}: five stages halve it.\n"
            f"Next: --side {tune.side // HALVINGS * HALVINGS}"
        )
    if tune.crop_share and tune.crop_side > tune.side:
        raise InputError(
            f"--crop-side is {tune.crop_side}, wanted at most the {tune.side} of --side.\n"
            f"Next: --crop-side {tune.side}"
        )
    if tune.crop_side != FineTuneOptions.crop_side and not tune.crop_share:
        raise InputError(
            f"--crop-side is {tune.crop_side}, wanted it with --crop-share: no step sees crops.\n"
            "Next: add --crop-share 0.75"
        )
    if options.mixed_precision and options.xla:
        raise InputError(
            "--mixed-precision of --recipe finetune is not for --xla, which would not see it.\n"
            "Next: hambatch train without --xla"
        )
