"""Held-out predictions from a table, which has to say where it is from."""

from pathlib import Path

import pandas as pd

from hambatch.calibrating.held_out import (
    HeldOut,
    refuse_other_table,
    refuse_trained_on,
    rows_of_parts,
)
from hambatch.engines.calibration_spec import OUT_OF_FOLD, SCORED, FittedOn
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.evaluation.image_ids import canonical_id
from hambatch.evaluation.join import Joined, join
from hambatch.evaluation.predictions import read_predictions
from hambatch.hashing import sha256_of_file
from hambatch.out_of_fold_record import (
    read_out_of_fold_record,
    refuse_other_networks,
)
from hambatch.recorded import precision_used, temperature_used
from hambatch.run_record import read_record, record_path
from hambatch.training.dataset import Dataset

NEXT = "hambatch score IMAGES --out preds.csv --no-calibration, with this very engine"


def read_held_out(engine: Engine, dataset: Dataset, parts: tuple[str, ...], path: Path) -> HeldOut:
    """Take the rows of these parts of the split table.

    A calibrated table is refused, not converted back: its six decimals are of calibrated
    probabilities, and the small ones, which decide the loss, cannot be had from them.

    Raises
    ------
    InputError
        If the table does not say that it is uncalibrated and of lesions that were held out, is
        of another engine, recipe or split, or lacks an image.
    """
    predictions = read_predictions(path)
    about = _about(engine, dataset, parts, path)
    images = rows_of_parts(dataset, parts)
    truth = pd.DataFrame(
        {
            "image_id": images["image_id"].map(canonical_id),
            "dx": images["dx"],
            "lesion_id": images["group"],
            "wanted": images["sha256"],
        }
    )
    joined = join(truth, predictions)
    _refuse_incomplete(path, joined)
    return HeldOut(joined.probabilities, joined.truth, joined.groups, about)


def _about(engine: Engine, dataset: Dataset, parts: tuple[str, ...], path: Path) -> FittedOn:
    refuse_other_table(engine, dataset)
    made = read_out_of_fold_record(path)
    if made is not None:
        refuse_other_networks(path, made, dataset.split_sha256, engine.manifest.training)
        return FittedOn(
            OUT_OF_FOLD, dataset.split_sha256, parts, 0, 0, predictions_sha256=made.sha256
        )
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
    graph = record["fingerprint"]["engine"].get("graph_sha256")
    variants = engine.manifest.variants
    if graph not in {engine.manifest.files[variant.file].sha256 for variant in variants}:
        raise _refused(path, f"scores of graph {graph}", f"a graph of {engine.manifest.name}")
    refuse_trained_on(engine, dataset, parts)
    precision = precision_used(record)
    return FittedOn(SCORED, dataset.split_sha256, parts, 0, 0, precision, digest)


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
