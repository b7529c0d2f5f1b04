"""From rows of the split table to the arrays that the head is trained on."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hambatch.backends.keras_network import SIDE, build_base
from hambatch.errors import InputError
from hambatch.system.array_cache import Pair
from hambatch.training.augmentation import PLAIN, check
from hambatch.training.balance import balanced
from hambatch.training.compute import compute_of
from hambatch.training.dataset import Dataset, labels_of
from hambatch.training.features import Features
from hambatch.training.head import TrainingData
from hambatch.training.options import TrainOptions, chosen_options


def open_features(dataset: Dataset, cache: Path, options: TrainOptions) -> Features:
    """Load the frozen base and open the caches that belong to it.

    Raises
    ------
    InputError
        If the weights cannot be had, or the augmentation makes no sense.
    """
    check(options.augmentation)
    base = load_base(options.weights)
    compute = compute_of(options)
    return Features(base, dataset.files, cache, options.augmentation, options.seed, compute)


def training_pairs(train: pd.DataFrame, options: TrainOptions) -> list[Pair]:
    """All views of the images that the balanced training part uses, image by image."""
    chosen = np.unique(_instances(train, options))
    images = train["sha256"].iloc[chosen]
    return [Pair(sha256, view) for sha256 in images for view in range(1 + options.views)]


def plain_pairs(rows: pd.DataFrame) -> list[Pair]:
    """Pair every image with view 0."""
    return [Pair(sha256, PLAIN) for sha256 in rows["sha256"]]


def training_data(
    features: Features, train: pd.DataFrame, val: pd.DataFrame, options: TrainOptions
) -> TrainingData:
    """Gather features and labels; what is not cached is computed first."""
    instances = _instances(train, options)
    images, places = np.unique(instances, return_inverse=True)
    rows = features.read(training_pairs(train, options))
    return TrainingData(
        features=rows.reshape(len(images), 1 + options.views, -1),
        labels=labels_of(train["dx"].iloc[images]),
        instances=places.astype(np.int64),
        val_features=features.read(plain_pairs(val)),
        val_labels=labels_of(val["dx"]),
    )


def fingerprint(dataset: Dataset, features: Features, options: TrainOptions) -> dict[str, Any]:
    """What a checkpoint is bound to: the data, the base and every option, by content."""
    chosen = chosen_options(options)
    # Not the recipe: a checkpoint from before there were two is gone on with.
    del chosen["recipe"], chosen["weights"], chosen["weights_licence"]
    return {
        "split_sha256": dataset.split_sha256,
        "weights_sha256": features.weights_sha256,
        **chosen.pop("augmentation"),
        **chosen,
    }


def _instances(train: pd.DataFrame, options: TrainOptions) -> Any:
    labels = labels_of(train["dx"])
    return balanced(list(train["sha256"]), labels, options.images_per_class, options.seed)


def load_base(weights: str, side: int = SIDE) -> Any:
    """Build the frozen base with its weights, for images of ``side`` pixels.

    Raises
    ------
    InputError
        If the weights cannot be had.
    """
    if weights != "imagenet" and not Path(weights).is_file():
        raise _unusable(weights, "no such file")
    try:
        return build_base(weights, side=side)
    except Exception as error:
        # Keras raises a bare Exception for a failed download; subclasses that
        # are not listed are bugs, or messages of our own.
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError, KeyError)):
            raise
        raise _unusable(weights, str(error).strip().partition("\n")[0]) from error


def _unusable(weights: str, reason: str) -> InputError:
    return InputError(
        f"the weights {weights!r} cannot be used: {reason}; wanted 'imagenet' (a download of "
        "Keras) or a .weights.h5 file of ResNet50 without its top.\n"
        "Next: name such a file with --weights"
    )
