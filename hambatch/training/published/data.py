"""What the head is trained on: as many images of every class, and the order of each epoch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.system.array_cache import Pair
from hambatch.training.dataset import images_per_class, labels_of
from hambatch.training.options import TrainOptions
from hambatch.training.published.features import Features
from hambatch.training.views import plain_views


@dataclass(frozen=True)
class TrainingData:
    """Features and labels.

    Attributes
    ----------
    features
        float32 ``[images, 1 + views, 2048]``, view 0 the plain image.
    labels
        int64 ``[images]``.
    instances
        int64 ``[n]``: the image of every instance of the balanced epoch.
    val_features, val_labels
        float32 ``[v, 2048]`` of plain images, int64 ``[v]``.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    instances: NDArray[np.int64]
    val_features: NDArray[np.float32]
    val_labels: NDArray[np.int64]


def training_data(
    features: Features, train: pd.DataFrame, val: pd.DataFrame, options: TrainOptions
) -> TrainingData:
    """Balance the training rows and gather features; what is not cached is computed first."""
    labels, views = labels_of(train["dx"]), 1 + options.views
    instances = balanced(list(train["sha256"]), labels, options.images_per_class, options.seed)
    images, places = np.unique(instances, return_inverse=True)
    pairs = [Pair(image, view) for image in train["sha256"].iloc[images] for view in range(views)]
    return TrainingData(
        features=features.read(pairs).reshape(len(images), views, -1),
        labels=labels[images],
        instances=places.astype(np.int64),
        val_features=features.read(plain_views(val["sha256"])),
        val_labels=labels_of(val["dx"]),
    )


def balanced(
    sha256: Sequence[str], labels: NDArray[np.int64], of_each: int, seed: int
) -> NDArray[np.int64]:
    """Sample ``of_each`` training images of every class: int64 positions, class by class.

    A class with more is sampled without replacement; one with fewer is repeated
    as a whole, as often as it fits, and topped up. Images are taken in the order
    of a hash, so that the sample for one fold is nearly that for the next and
    their features are shared. Raises InputError if a class has no training image.
    """
    ranks = [hashlib.sha256(f"{seed} {image}".encode()).hexdigest() for image in sha256]
    order = np.argsort(ranks, kind="stable")
    classes = range(len(images_per_class(labels)))
    taken = [np.resize(order[labels[order] == label], of_each) for label in classes]
    return np.concatenate(taken).astype(np.int64)


def epoch_plan(
    instances: int, views: int, seed: int, epoch: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffle the instances of an epoch and choose a view for each.

    A pure function of its arguments, so that a resumed run sees what an uninterrupted one sees.
    Both are int64 ``[instances]``: a permutation of the instances, and for every place in it a
    view from 0 (the plain image) to ``views``.
    """
    draw = np.random.default_rng([seed, epoch])
    return draw.permutation(instances), draw.integers(0, views, instances, endpoint=True)
