"""The story of `evaluate`: read the tables, join, refuse leaks, measure."""

from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.evaluation.against import Inputs, compare_with
from hambatch.evaluation.bootstrap import ISIC, RELIABILITY, bootstrap_intervals
from hambatch.evaluation.calibration import reliability_bins
from hambatch.evaluation.isic import isic_figures
from hambatch.evaluation.join import join, nothing_scored
from hambatch.evaluation.metrics import evaluate
from hambatch.evaluation.predictions import read_predictions
from hambatch.evaluation.roc import roc_curves
from hambatch.evaluation.subgroups import subgroups
from hambatch.evaluation.training_split import check_training
from hambatch.evaluation.truth import read_truth
from hambatch.hashing import sha256_of_file
from hambatch.labels import CLASSES


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
    :func:`~hambatch.evaluation.metrics.evaluate`; the challenge's, the bins of
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
