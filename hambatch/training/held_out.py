"""Held-out predictions from a table, which has to say where it is from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.loading import Engine
from hambatch.engines.manifest import OUT_OF_FOLD, SCORED, Calibration, FittedOn
from hambatch.errors import InputError
from hambatch.evaluation.join import Joined, join
from hambatch.evaluation.out_of_fold import (
    TEST,
    command_for,
    read_out_of_fold_record,
    refuse_other_networks,
)
from hambatch.evaluation.tables import read_predictions
from hambatch.evaluation.training_split import TRAIN
from hambatch.score.record import read_record, temperature_used
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file
from hambatch.system.text import canonical_id
from hambatch.training.dataset import Dataset, labels_of, score_split
from hambatch.training.temperature import fit_temperature, improvements


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
    about
        What the record says of them; of ``images`` and ``lesions`` the numbers here.
    """

    probabilities: NDArray[np.float64]
    truth: NDArray[np.int64]
    groups: NDArray[Any]
    about: FittedOn

    def calibration(self) -> Calibration | None:
        """Fit, and measure what it changes; None if no temperature fits."""
        temperature = fit_temperature(self.probabilities, self.truth)
        if temperature is None:
            return None
        images, lesions = int(self.truth.size), len(set(self.groups))
        return Calibration(
            temperature=temperature,
            fitted_on=replace(self.about, images=images, lesions=lesions),
            **improvements(self.probabilities, self.truth, self.groups, temperature),
        )


def score_held_out(
    engine: Engine, dataset: Dataset, parts: tuple[str, ...], precision: str
) -> HeldOut:
    """Score parts of the split table that the engine was not trained on.

    Raises
    ------
    EngineError
        If the engine lacks the graph.
    InputError
        If it was trained on one of them, an image is not the table's, or cannot be scored.
    """
    refuse_trained_on(engine, dataset, parts)
    images = rows_of_parts(dataset, parts)
    rows = score_split(engine, dataset.root, images, precision)
    return HeldOut(
        probabilities=np.array([row.probabilities for row in rows]),
        truth=labels_of(images["dx"]),
        groups=images["group"].to_numpy(),
        about=FittedOn(SCORED, dataset.split_sha256, parts, 0, 0, precision=precision),
    )


def rows_of_parts(dataset: Dataset, parts: tuple[str, ...]) -> pd.DataFrame:
    """Give the images of these parts, in the order of the table.

    Raises
    ------
    InputError
        If there is none, or the test part is among them.
    """
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


def refuse_trained_on(engine: Engine, dataset: Dataset, parts: tuple[str, ...]) -> None:
    """Refuse parts whose lesions the engine has seen, or may have; of those it is too sure.

    Raises
    ------
    InputError
        Naming them, or as :func:`refuse_other_table` does.
    """
    refuse_other_table(engine, dataset)
    seen = [part for part in parts if part in engine.manifest.data.get("trained_on", TRAIN)]
    if seen:
        raise InputError(
            f"{engine.manifest.name} was trained on split {' and '.join(seen)}, "
            "wanted lesions that it has not seen.\n"
            f"Next: {command_for(engine.manifest.training)}"
        )


def refuse_other_table(engine: Engine, dataset: Dataset) -> None:
    """Refuse another split table than the engine's: its parts may be the engine's other ones.

    Raises
    ------
    InputError
        Naming both.
    """
    own = engine.manifest.data.get("split_sha256", dataset.split_sha256)
    if own != dataset.split_sha256:
        raise InputError(
            f"the split table's sha256 is {dataset.split_sha256}, wanted that of the one that "
            f"{engine.manifest.name} was trained with, {own}.\nNext: give that table to --data, "
            "or an engine that was trained with this one"
        )


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
    precision = record["fingerprint"]["backend"]["precision"]
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
