"""The published balance: as many images of every class, drawn or repeated after the split."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError


def balanced(
    sha256: Sequence[str], labels: NDArray[np.int64], images_per_class: int, seed: int
) -> NDArray[np.int64]:
    """Choose ``images_per_class`` training images of every class.

    A class with more is sampled without replacement; one with fewer is repeated
    as a whole, as often as it fits, and topped up. Images are taken in the order
    of a hash, so that the choice for one fold is nearly that for the next and
    their features are shared.

    Parameters
    ----------
    sha256
        Of every training image, length n; labels are ``[n]``, indices of classes.

    Returns
    -------
    int64 ``[7 * images_per_class]``: positions in the arguments, class by class.

    Raises
    ------
    InputError
        If a class has no training image.
    """
    order = np.argsort([rank(image, seed) for image in sha256], kind="stable")
    chosen = []
    for label, name in enumerate(CLASSES):
        of_class = order[labels[order] == label]
        if len(of_class) == 0:
            raise no_image_of(name)
        chosen.append(np.resize(of_class, images_per_class))
    return np.concatenate(chosen).astype(np.int64)


def no_image_of(name: str) -> InputError:
    """Refuse a training part that lacks a class."""
    return InputError(
        f"the training part has no image of class {name}.\n"
        "Next: hambatch prepare, with smaller val and test fractions, or fewer --folds"
    )


def rank(sha256: str, seed: int) -> str:
    """Place of an image in the order of sampling; the same in every fold."""
    return hashlib.sha256(f"{seed} {sha256}".encode()).hexdigest()


def epoch_plan(
    instances: int, views: int, seed: int, epoch: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffle the instances of an epoch and choose a view for each.

    A pure function of its arguments, so that a resumed run sees what an
    uninterrupted one sees.

    Returns
    -------
    int64 ``[instances]`` each: a permutation of the instances, and for every
    place in it a view from 0 (the plain image) to ``views``.
    """
    draw = np.random.default_rng([seed, epoch])
    return draw.permutation(instances), draw.integers(0, views, instances, endpoint=True)
