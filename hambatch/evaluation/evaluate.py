"""The story of `evaluate`: read the tables, join, refuse leaks, measure."""

from pathlib import Path
from typing import Any

import numpy as np

from hambatch import __version__
from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.evaluation.bootstrap import ISIC, RELIABILITY, bootstrap_intervals, paired_figures
from hambatch.evaluation.calibration import reliability_bins
from hambatch.evaluation.gallery import worst_errors
from hambatch.evaluation.join import Joined, join_scored
from hambatch.evaluation.leak_check import check_training
from hambatch.evaluation.measures import evaluate, isic_figures
from hambatch.evaluation.operating_points import operating_points, rule_targets
from hambatch.evaluation.options import AS_HAM10000, DEFAULTS, LabelOptions, LeakOptions
from hambatch.evaluation.ranking import precision_recall_curves, roc_curves
from hambatch.evaluation.scored_by import engine_of
from hambatch.evaluation.subgroups import subgroups
from hambatch.evaluation.tables import read_predictions
from hambatch.evaluation.threshold_curves import decision_curves, threshold_curves
from hambatch.evaluation.truth import read_truth
from hambatch.system.files import sha256_of_file


def compare(
    predictions: Path,
    truth: Path,
    split: str | None = None,
    *,
    against: Path | None = None,
    labels: LabelOptions = AS_HAM10000,
    leaks: LeakOptions = DEFAULTS,
    gallery: int = 0,
) -> dict[str, Any]:
    """Measure a table of predictions against the truth.

    Parameters
    ----------
    against
        Another table of predictions of the same images, to be compared with.
    labels
        Which columns the truth has, and which class its labels mean.
    leaks
        How images are found that were trained on, and whether they are left out.
    gallery
        The most errors of each kind that are listed; 0: no list.

    Returns
    -------
    JSON-able: what was compared, by name and hash, the predictions' engine as
    :func:`~hambatch.evaluation.scored_by.engine_of` has it, and what the labels mean; ``counts`` of
    :class:`~hambatch.evaluation.join.Joined` and ``left_out`` of
    :class:`~hambatch.evaluation.truth.Truth`; ``leak_check``; ``origin`` of
    :data:`~hambatch.evaluation.origin.Origin`; the figures of
    :func:`~hambatch.evaluation.measures.evaluate`; the challenge's, the bins of
    the reliability diagram, ROC and precision-recall curves, operating points, curves by
    threshold and subgroups; ``intervals`` of
    :func:`~hambatch.evaluation.bootstrap.bootstrap_intervals` and what they
    were ``grouped_by``; ``against`` and ``gallery``, None without it. The same files give the
    same report.

    Raises InputError if a table cannot be used, no image was scored, or one was trained on.
    """
    wanted = read_truth(truth, split, labels)
    joined = join_scored(wanted, read_predictions(predictions), predictions)
    joined, leak_check, origin = check_training(joined, predictions, truth, leaks)
    other = None
    if against is not None:
        theirs = join_scored(wanted, read_predictions(against), against)
        theirs, their_check, _ = check_training(theirs, against, truth, leaks, second=True)
        other = {
            "predictions": _named(against),
            "leak_check": their_check,
            **_paired(joined, theirs, predictions, against),
        }
    sample = joined.sample
    intervals = bootstrap_intervals(
        sample.truth, sample.predicted, joined.groups, probabilities=sample.probabilities
    )
    return {
        "hambatch": __version__,
        "predictions": {**_named(predictions), "engine": engine_of(predictions)},
        "truth": {**_named(truth), "split": split, **wanted.columns, "map": wanted.map},
        "class_order": list(CLASSES),
        "counts": joined.counts | wanted.left_out,
        "leak_check": leak_check,
        "origin": origin,
        **evaluate(sample.truth, sample.predicted, sample.probabilities),
        ISIC: isic_figures(sample),
        RELIABILITY: reliability_bins(sample),
        "roc_curves": roc_curves(sample),
        "precision_recall_curves": precision_recall_curves(sample),
        **_by_threshold(joined),
        "subgroups": subgroups(joined),
        "intervals": {**intervals, "grouped_by": joined.grouped_by},
        "against": other,
        "gallery": worst_errors(joined, gallery) if gallery else None,
    }


def _by_threshold(joined: Joined) -> dict[str, Any]:
    """Say what rules on the columns of the table would do."""
    found = rule_targets(joined)
    return {
        "operating_points": operating_points(found, joined.groups),
        "threshold_curves": threshold_curves(found),
        "decision_curves": decision_curves(found),
    }


def _named(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": sha256_of_file(path)}


def _paired(first: Joined, second: Joined, path: Path, against: Path) -> dict[str, Any]:
    """Compare over the images that both tables of predictions scored.

    Returns
    -------
    ``n`` images in common; how many only one of the two scored, ``only_first`` and
    ``only_second``; and :func:`~hambatch.evaluation.bootstrap.paired_figures`.
    """
    ids, other_ids = (joined.images["truth_id"].to_numpy(str) for joined in (first, second))
    common, mine, theirs = np.intersect1d(ids, other_ids, return_indices=True)
    # In the order of the image_ids, so that the draws are those of a truth of plain ids.
    order = np.argsort(first.images["image_id"].to_numpy(str)[mine])
    mine, theirs = mine[order], theirs[order]
    if not common.size:
        raise InputError(
            f"{against}: found no image that {path} scored as well, such as {str(ids[0])!r}; "
            "wanted predictions of the same images.\n"
            "Next: hambatch score IMAGES --out other.csv, with the same images"
        )
    return {
        "n": int(common.size),
        "only_first": int(ids.size - common.size),
        "only_second": int(other_ids.size - common.size),
        **paired_figures(first.sample.at(mine), second.sample.at(theirs), first.groups[mine]),
    }
