"""Two tables of predictions of the same images, compared pair by pair."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hambatch.errors import InputError
from hambatch.evaluation.join import Joined, join, nothing_scored
from hambatch.evaluation.paired import paired_figures
from hambatch.evaluation.predictions import read_predictions
from hambatch.evaluation.training_split import check_training
from hambatch.hashing import sha256_of_file


@dataclass(frozen=True)
class Inputs:
    """The files of an evaluation; ``data`` is the split table of the training."""

    predictions: Path
    truth: Path
    against: Path
    data: Path | None


def compare_with(joined: Joined, labels: pd.DataFrame, files: Inputs) -> dict[str, Any]:
    """Compare over the images that both tables of predictions scored.

    Parameters
    ----------
    joined
        The evaluated predictions and their truth.
    labels
        That truth.

    Returns
    -------
    JSON-able: ``predictions``, the other file; ``n`` images in common; how many
    only one of the two scored, ``only_first`` and ``only_second``; its ``leak_check``; and
    :func:`~hambatch.evaluation.paired.paired_figures`.

    Raises
    ------
    InputError
        If the table cannot be used, no image is in common, or one was trained on.
    """
    against, truth = files.against, files.truth
    other = join(labels, read_predictions(against))
    common, mine, theirs = np.intersect1d(
        joined.images["image_id"].to_numpy(str),
        other.images["image_id"].to_numpy(str),
        return_indices=True,
    )
    if not len(other.images):
        raise nothing_scored(against, truth, other)
    if not common.size:
        raise InputError(
            f"{against}: found no image that {files.predictions} scored as well, "
            f"such as {joined.images['image_id'].iloc[0]!r}; wanted predictions of the same images."
            "\nNext: hambatch score IMAGES --out other.csv, with the same images"
        )
    return {
        "predictions": {"file": against.name, "sha256": sha256_of_file(against)},
        "leak_check": check_training(other, against, truth, files.data, second=True),
        "n": int(common.size),
        "only_first": len(joined.images) - int(common.size),
        "only_second": len(other.images) - int(common.size),
        **paired_figures(joined.sample.at(mine), other.sample.at(theirs), joined.groups[mine]),
    }
