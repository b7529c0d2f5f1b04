"""From a trained network to an engine folder: exported, calibrated, measured by scoring."""

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import hambatch
from hambatch.backends.keras_network import WEIGHTS_NAME, save_network
from hambatch.engines.backend_names import BACKEND_OF_GATES, FP32
from hambatch.engines.card import model_card
from hambatch.engines.classes import CLASSES, SPLITS
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import LICENCE_OF_WEIGHTS, InputSpec, Manifest, Variant
from hambatch.engines.measurements import GATE
from hambatch.engines.probabilities import temperature_of
from hambatch.engines.training_images import write_training_images
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.out_of_fold import (
    held_out_parts,
    read_out_of_fold_record,
    write_out_of_fold,
)
from hambatch.evaluation.plots import confusion_png
from hambatch.ham10000.image_ids import HAM10000
from hambatch.ham10000.prepare import count
from hambatch.scoring.sentinels.recording import record_sentinels
from hambatch.system.files import sync, write_bytes, write_text
from hambatch.system.packages import library_versions
from hambatch.training.calibrate import fit_calibration
from hambatch.training.dataset import Dataset, labels_of, score_split
from hambatch.training.export.export import export_graph
from hambatch.training.feature_statistics import add_feature_statistics
from hambatch.training.held_out import read_held_out, score_held_out
from hambatch.training.mean_of_folds import AVERAGED
from hambatch.training.options import TrainOptions
from hambatch.training.recipe import PIPELINE_VERSION, Fitted, licence_text

PARITY_IMAGES = 64

VAL = "val"
MEASURED = (VAL, "test")

LICENCE = "CC BY-NC 4.0: trained on HAM10000, doi:10.1038/sdata.2018.161"

log = logging.getLogger(__name__)


def assemble(
    dataset: Dataset,
    fitted: Fitted,
    options: TrainOptions,
    staging: Path,
    out: Path,
    out_of_fold: Path | None = None,
) -> Manifest:
    """Write the engine into ``staging``, measure it by scoring with it, move it to ``out``.

    Beside ``staging`` the predictions of validation images are left. ``out_of_fold`` are such
    predictions, for an engine that was trained on these images as well. Raises HambatchError if
    the exported graph is too far from Keras, or an image cannot be scored.
    """
    # What an interrupted run left: none of it was ever an engine.
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    save_network(fitted.network, staging / WEIGHTS_NAME)
    if options.weights_licence_file:
        write_text(staging / LICENCE_OF_WEIGHTS, licence_text(options))
    write_training_images(staging, dataset.training_images())
    variant = export_graph(fitted.network, staging, fitted.images(_parity_images(dataset)))
    write_manifest(staging, _uncalibrated_manifest(dataset, fitted, options, out.name, variant))
    add_feature_statistics(dataset, fitted, options.trained_parts, staging)
    record_sentinels(staging)
    manifest = calibrated_manifest(dataset, staging, out_of_fold)
    write_manifest(staging, manifest)
    # Measured by the very path that users score with, not by Keras.
    metrics = measure(dataset, staging)
    manifest = replace(manifest, metrics=metrics)
    test = metrics["test"]
    title = f"{out.name}, test images: balanced accuracy {test['balanced_accuracy']:.3f}"
    write_bytes(staging / "confusion.png", confusion_png(test["confusion_matrix"], title))
    write_text(staging / "card.md", model_card(manifest))
    manifest = write_manifest(staging, manifest)
    os.replace(staging, out)
    sync(out.parent)
    return manifest


def _parity_images(dataset: Dataset) -> list[str]:
    """Validation images of all classes, taken at even steps through the classes.

    Any images, of a table without these, which only a final training takes.
    """
    val = dataset.part(VAL) if len(dataset.part(VAL)) else dataset.part(*SPLITS)
    val = val.sort_values(["dx", "image_id"])
    steps = np.unique(np.linspace(0, len(val) - 1, PARITY_IMAGES).round().astype(int))
    return list(val["sha256"].iloc[steps])


def _uncalibrated_manifest(
    dataset: Dataset, fitted: Fitted, options: TrainOptions, name: str, variant: Variant
) -> Manifest:
    _, height, width, _ = fitted.network.input_shape
    record = options.of_recipe()
    del record["folds"], record["weights_licence"], record["weights_licence_file"]
    base = options.weights_licence or "see where they were downloaded from"
    return Manifest(
        name=name,
        version=hambatch.__version__,
        input=InputSpec(height=height, width=width),
        files={},
        variants=(variant,),
        data={
            "name": HAM10000,
            "source": "doi:10.7910/DVN/DBW86T",
            "licence": "CC BY-NC 4.0",
            "split_sha256": dataset.split_sha256,
            "trained_on": list(options.trained_parts),
            "counts": count(dataset.table),
            **({"extra": [source.record() for source in dataset.extras]} if dataset.extras else {}),
        },
        training={
            **record,
            # A path would name this machine; the hash says which weights they were.
            "weights": Path(options.weights).name,
            "weights_sha256": fitted.weights_sha256,
            "pipeline_version": PIPELINE_VERSION,
            **fitted.outcome,
        },
        versions=library_versions(),
        licence=f"{LICENCE}{_licences(dataset)}. Weights of the base: {base}.",
    )


def _licences(dataset: Dataset) -> str:
    return "".join(f"; on {source.about.name}, {source.licence}" for source in dataset.extras)


NO_GATE = (
    "no temperature is fitted, as the split table has no part gate, and that of single networks is "
    "not their mean's. Next, if probabilities matter: hambatch prepare with --gate-fraction, and "
    "train again"
)


def calibrated_manifest(
    dataset: Dataset, engine: Path, out_of_fold: Path | None = None
) -> Manifest:
    """Fit the temperature on the validation images, or on predictions of a table, if it fits.

    Of a mean of networks on the part gate: its scores are less extreme than those of each of them.
    """
    loaded = load_engine(engine)
    if AVERAGED in loaded.manifest.training:
        if not len(dataset.part(GATE)):
            log.warning(NO_GATE)
            return loaded.manifest
        held_out = score_held_out(loaded, dataset, (GATE,), FP32)
    elif out_of_fold is not None:
        record = read_out_of_fold_record(out_of_fold)
        parts = held_out_parts(record) if record else ()
        held_out = read_held_out(loaded, dataset, parts, out_of_fold)
    elif VAL in loaded.manifest.trained_on:
        log.warning(
            "no temperature is fitted, as val was trained on. Next, if probabilities matter: "
            "hambatch engines calibrate, with --split gate if the table has it, or with "
            "--predictions of networks that did not see them"
        )
        return loaded.manifest
    else:
        held_out = score_held_out(loaded, dataset, (VAL,), FP32)
        write_out_of_fold(
            engine.parent,
            dataset.part(VAL),
            held_out.probabilities,
            dataset.split_sha256,
            loaded.manifest.training,
            f"{BACKEND_OF_GATES}-{FP32}",
        )
    calibration = fit_calibration(held_out)
    if calibration is None:
        log.warning("no temperature fits the held-out images; probabilities stay as they are")
    return replace(loaded.manifest, calibration=calibration)


def measure(dataset: Dataset, engine: Path) -> dict[str, dict[str, Any]]:
    """Score the held-out images with an engine folder; figures by part of the split table.

    ``val``, unless it was trained on, and ``test`` have the figures of ``evaluate``,
    ``intervals`` by lesion, and the ``temperature`` of the probabilities; None: uncalibrated.
    """
    loaded = load_engine(engine)
    trained_on = loaded.manifest.data.get("trained_on", ())
    parts = [part for part in MEASURED if part not in trained_on]
    images = dataset.part(*parts)
    rows = score_split(loaded, dataset.root, images, FP32, calibration=True)
    predicted = np.array([CLASSES.index(row.prediction) for row in rows], np.int64)
    probabilities = np.array([row.probabilities for row in rows])
    found = {}
    for part in parts:
        at = (images["split"] == part).to_numpy()
        truth, groups = labels_of(images["dx"][at]), list(images["group"][at])
        of_part = truth, predicted[at]
        spans = bootstrap_intervals(*of_part, groups, probabilities=probabilities[at])
        found[part] = {
            **evaluate(*of_part, probabilities[at]),
            "intervals": {**spans, "grouped_by": "lesion"},
            "temperature": temperature_of(loaded.manifest),
        }
    return found
