"""Held-out predictions for a temperature: scored here, or of a table that says where it is from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.loading import Engine
from hambatch.engines.measurements import OUT_OF_FOLD, SCORED, FittedOn
from hambatch.errors import InputError
from hambatch.evaluation.join import Joined, join
from hambatch.evaluation.out_of_fold import (
    TEST,
    command_for,
    read_out_of_fold_record,
    refuse_other_networks,
)
from hambatch.evaluation.tables import read_predictions
from hambatch.scoring.record import read_record, temperature_used
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file
from hambatch.system.text import canonical_id
from hambatch.training.dataset import Dataset, labels_of, score_split

NEXT = "hambatch score IMAGES --out preds.csv --no-calibration, with this very engine"


@dataclass(frozen=True)
class HeldOut:
    """Uncalibrated predictions with their truth.

    Attributes
    ----------
    probabilities
        float64 ``[n, 7]``, in six decimals, as a table has them.
    truth
        int64 ``[n]``: positions in ``CLASSES``.
    groups
        ``[n]``, text: the lesion of each image.
    fitted_on
        What the engine records of them.
    """

    probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]
    groups: NDArray[Any]
    fitted_on: FittedOn


def score_held_out(
    engine: Engine, dataset: Dataset, parts: tuple[str, ...], precision: str
) -> HeldOut:
    """Score parts of the split table that the engine was not trained on.

    Raises EngineError if it lacks the graph; InputError if it was trained on one of them, an image
    is not the table's, or cannot be scored.
    """
    _refuse_trained_on(engine, dataset, parts)
    images = _rows_of_parts(dataset, parts)
    rows = score_split(engine, dataset.root, images, precision)
    groups = images["group"].to_numpy()
    return HeldOut(
        probabilities=np.array([row.probabilities for row in rows]),
        truth=labels_of(images["dx"]),
        groups=groups,
        fitted_on=FittedOn(SCORED, dataset.split_sha256, parts, *_counts(groups), precision),
    )


def read_held_out(engine: Engine, dataset: Dataset, parts: tuple[str, ...], path: Path) -> HeldOut:
    """Take the rows of these parts of the split table.

    A calibrated table is refused, not converted back: its six decimals are of calibrated
    probabilities, and the small ones, which decide the loss, cannot be had from them.
    Raises InputError if the table does not say that it is uncalibrated and of lesions that were
    held out, is of another engine, recipe or split, or lacks an image.
    """
    predictions = read_predictions(path)
    source, precision, digest = _source(engine, dataset, parts, path)
    images = _rows_of_parts(dataset, parts)
    truth = pd.DataFrame(
        {
            "image_id": images["image_id"].map(canonical_id),
            "dx": images["dx"],
            "lesion_id": images["group"],
            "wanted": images["sha256"],
        }
    )
    joined = join(truth, predictions, path)
    _refuse_incomplete(path, joined)
    counts = _counts(joined.groups)
    fitted_on = FittedOn(source, dataset.split_sha256, parts, *counts, precision, digest)
    return HeldOut(joined.probabilities, joined.truth, joined.groups, fitted_on)


def _counts(groups: NDArray[Any]) -> tuple[int, int]:
    """Images and lesions."""
    return len(groups), len(set(groups))


def _source(
    engine: Engine, dataset: Dataset, parts: tuple[str, ...], path: Path
) -> tuple[str, str, str]:
    """Give the kind of predictions, their precision and the table's sha256; refuse all others."""
    refuse_other_split_table(engine, dataset)
    record = read_out_of_fold_record(path)
    if record is not None:
        refuse_other_networks(path, record, dataset.split_sha256, engine.manifest.training)
        return OUT_OF_FOLD, "", record.sha256
    precision, digest = _scored_uncalibrated(engine, path)
    _refuse_trained_on(engine, dataset, parts)
    return SCORED, precision, digest


def _scored_uncalibrated(engine: Engine, path: Path) -> tuple[str, str]:
    """Give precision and sha256 of a table of ``hambatch score``, by its record."""
    digest, record = sha256_of_file(path), read_record(record_path(path))
    if record["output"]["sha256"] != digest:
        raise _refused(
            path, f"sha256 {digest}", f"the table of its record, {record['output']['sha256']}"
        )
    temperature = temperature_used(record)
    if temperature is not None:
        raise _refused(path, f"probabilities of temperature {temperature:g}", "uncalibrated ones")
    views = record["fingerprint"]["backend"].get("tta", 1)
    if views != 1:
        raise _refused(path, f"means over {views} views of an image", "scores of the image alone")
    graph, manifest = record["fingerprint"]["engine"].get("graph_sha256"), engine.manifest
    if graph not in {manifest.files[variant.file].sha256 for variant in manifest.variants}:
        raise _refused(path, f"scores of graph {graph}", f"a graph of {manifest.name}")
    return record["fingerprint"]["backend"]["precision"], digest


def _rows_of_parts(dataset: Dataset, parts: tuple[str, ...]) -> pd.DataFrame:
    """Give the images of these parts, in the order of the table; the test part is refused."""
    if TEST in parts:
        raise InputError(
            "--split is test, wanted val: a temperature that was fitted on the test images would "
            "flatter every figure of them.\n"
            "Next: hambatch engines calibrate --data split.csv --split val"
        )
    images = dataset.table[dataset.table["split"].isin(parts)]
    if images.empty:
        raise InputError(
            f"the split table has no images of split {' and '.join(parts)}.\n"
            "Next: hambatch prepare HAM10000_DIR --out split.csv"
        )
    return images


def _refuse_trained_on(engine: Engine, dataset: Dataset, parts: tuple[str, ...]) -> None:
    """Refuse parts whose lesions the engine has seen, or may have: it is too sure of those."""
    refuse_other_split_table(engine, dataset)
    seen = [part for part in parts if part in engine.manifest.trained_on]
    if seen:
        raise InputError(
            f"{engine.manifest.name} was trained on split {' and '.join(seen)}, "
            "wanted lesions that it has not seen.\n"
            f"Next: {command_for(engine.manifest.training)}"
        )


def refuse_other_split_table(engine: Engine, dataset: Dataset) -> None:
    """Refuse another split table than the engine's: its val may be what the engine trained on."""
    own = engine.manifest.data.get("split_sha256", dataset.split_sha256)
    if own != dataset.split_sha256:
        raise InputError(
            f"the split table's sha256 is {dataset.split_sha256}, wanted that of the one that "
            f"{engine.manifest.name} was trained with, {own}.\nNext: give that table to --data, "
            "or an engine that was trained with this one"
        )


def _refuse_incomplete(path: Path, joined: Joined) -> None:
    counts = joined.counts
    if counts["scored"] < counts["truth"]:
        names = [*counts["failed_named"], *counts["missing_named"]]
        raise InputError(
            f"{path}: found {counts['failed']} failed rows and {counts['missing']} images without "
            f"a row ({', '.join(names)}); wanted all {counts['truth']} images of the parts.\n"
            "Next: hambatch score IMAGES --out preds.csv --retry-failed, or name the parts that "
            "were predicted with --split"
        )
    found = joined.images["sha256"]
    other = joined.images["image_id"][(found != "") & (found != joined.images["wanted"])]
    if len(other):
        raise _refused(path, f"other bytes of {other.iloc[0]}", "those of the split table")


def _refused(path: Path, found: str, wanted: str) -> InputError:
    return InputError(f"{path}: found {found}; wanted {wanted}.\nNext: {NEXT}")
