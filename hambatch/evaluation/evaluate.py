"""The story of `evaluate`: read the tables, join, refuse leaks, measure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hambatch import __version__
from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.evaluation.bootstrap import ISIC, RELIABILITY, bootstrap_intervals, paired_figures
from hambatch.evaluation.calibration import reliability_bins
from hambatch.evaluation.join import Joined, join, nothing_scored
from hambatch.evaluation.measures import evaluate, isic_figures
from hambatch.evaluation.ranking import roc_curves
from hambatch.evaluation.subgroups import subgroups
from hambatch.evaluation.tables import read_predictions, read_truth
from hambatch.evaluation.training_split import check_training
from hambatch.system.files import sha256_of_file


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
    :func:`~hambatch.evaluation.bootstrap.paired_figures`.

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


def compare(
    predictions: Path,
    truth: Path,
    split: str | None = None,
    *,
    against: Path | None = None,
    data: Path | None = None,
) -> dict[str, Any]:
    """Measure a table of predictions against the truth.

    Parameters
    ----------
    against
        Another table of predictions of the same images, to be compared with.
    data
        The split table that the engine was trained with, for the leak check.

    Returns
    -------
    JSON-able: what was compared, by name and hash; ``counts`` of
    :class:`~hambatch.evaluation.join.Joined`; ``leak_check``; the figures of
    :func:`~hambatch.evaluation.measures.evaluate`; the challenge's, the bins of
    the reliability diagram, ROC curves and subgroups; ``intervals`` of
    :func:`~hambatch.evaluation.bootstrap.bootstrap_intervals` and what they
    were ``grouped_by``; ``against``, None without it. The same files give the
    same report.

    Raises
    ------
    InputError
        If a table cannot be used, no image of the truth was scored, or an image
        was trained on.
    """
    labels = read_truth(truth, split)
    joined = join(labels, read_predictions(predictions))
    if not joined.counts["scored"]:
        raise nothing_scored(predictions, truth, joined)
    leak_check = check_training(joined, predictions, truth, data)
    other = None
    if against is not None:
        other = compare_with(joined, labels, Inputs(predictions, truth, against, data))
    sample = joined.sample
    intervals = bootstrap_intervals(
        sample.truth, sample.predicted, joined.groups, probabilities=sample.probabilities
    )
    return {
        "hambatch": __version__,
        "predictions": named(predictions),
        "truth": {**named(truth), "split": split},
        "class_order": list(CLASSES),
        "counts": joined.counts,
        "leak_check": leak_check,
        **evaluate(sample.truth, sample.predicted, sample.probabilities),
        ISIC: isic_figures(sample),
        RELIABILITY: reliability_bins(sample),
        "roc_curves": roc_curves(sample),
        "subgroups": subgroups(joined),
        "intervals": {**intervals, "grouped_by": joined.grouped_by},
        "against": other,
    }


def named(path: Path) -> dict[str, str]:
    """Name a file and its content."""
    return {"file": path.name, "sha256": sha256_of_file(path)}
