"""From a trained head to an engine folder that has been scored with."""

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hambatch
from hambatch.backends.keras_network import WEIGHTS_NAME, save_network
from hambatch.engines.card import model_card
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import InputSpec, Manifest, read_manifest
from hambatch.engines.precision import BACKEND_OF_GATES, FP32
from hambatch.engines.probabilities import temperature_of
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.out_of_fold import (
    held_out_parts,
    read_out_of_fold_record,
    write_out_of_fold,
)
from hambatch.evaluation.plots import plot_confusion
from hambatch.evaluation.training_split import TRAIN
from hambatch.ham10000.prepare import count
from hambatch.score.sentinels.recording import record_sentinels
from hambatch.system.files import sync, write_text
from hambatch.system.packages import library_versions
from hambatch.training.calibrate import fit_calibration
from hambatch.training.dataset import Dataset, labels_of, score_split
from hambatch.training.export.export import export_graph
from hambatch.training.held_out import HeldOut, read_held_out, score_held_out

PARITY_IMAGES = 64


VAL = "val"


MEASURED = (VAL, "test")


LICENCE = "CC BY-NC 4.0: trained on HAM10000, doi:10.1038/sdata.2018.161"


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What training leaves behind.

    Attributes
    ----------
    network
        Of :func:`hambatch.backends.keras_network.join`.
    images
        Gives plain images by sha256, uint8 RGB ``[n, side, side, 3]``.
    record
        Options and what came of them, for ``training`` of ``engine.json``.
    sides
        Parts of the split table that were trained on.
    """

    dataset: Dataset
    network: Any
    images: Callable[[Sequence[str]], NDArray[np.uint8]]
    record: Mapping[str, Any]
    sides: tuple[str, ...] = ("train",)


def assemble(
    trained: Trained, staging: Path, out: Path, out_of_fold: Path | None = None
) -> Manifest:
    """Write the engine into ``staging``, measure it by scoring with it, move it to ``out``.

    Beside ``staging`` the predictions of validation images are left, for an engine that is
    trained on these as well: ``out_of_fold`` of that one.

    Raises
    ------
    HambatchError
        If the exported graph is too far from Keras, or an image cannot be scored.
    """
    # What an interrupted run left: none of it was ever an engine.
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    save_network(trained.network, staging / WEIGHTS_NAME)
    images = trained.images(_parity_images(trained.dataset))
    variant = export_graph(trained.network, staging, images)
    manifest = Manifest(
        name=out.name,
        version=hambatch.__version__,
        input=_input_of(trained.network),
        files={},
        variants=(variant,),
        data=_data(trained),
        training=_training(trained.record),
        versions=library_versions(),
        licence=_licence(trained.record),
    )
    write_manifest(staging, manifest)
    record_sentinels(staging)
    manifest = calibrated_manifest(trained.dataset, staging, out_of_fold)
    write_manifest(staging, manifest)
    # Measured by the very path that users score with, not by Keras.
    metrics = measure(trained.dataset, staging)
    manifest = replace(manifest, metrics=metrics)
    test = metrics["test"]
    title = f"{out.name}, test images: balanced accuracy {test['balanced_accuracy']:.3f}"
    plot_confusion(test["confusion_matrix"], staging / "confusion.png", title)
    write_text(staging / "card.md", model_card(manifest))
    manifest = write_manifest(staging, manifest)
    os.replace(staging, out)
    sync(out.parent)
    return manifest


def calibrated_manifest(
    dataset: Dataset, engine: Path, out_of_fold: Path | None = None
) -> Manifest:
    """Fit the temperature on the validation images, or on predictions of a table, if it fits."""
    loaded = load_engine(engine)
    if out_of_fold is not None:
        record = read_out_of_fold_record(out_of_fold)
        parts = held_out_parts(record) if record else ()
        held_out = read_held_out(loaded, dataset, parts, out_of_fold)
    elif VAL in loaded.manifest.data.get("trained_on", TRAIN):
        log.warning(
            "no temperature is fitted, as val was trained on. Next, if probabilities matter: "
            "hambatch engines calibrate, with --predictions of networks that did not see them"
        )
        return loaded.manifest
    else:
        held_out = score_held_out(loaded, dataset, (VAL,), FP32)
        _leave(held_out, loaded.manifest, dataset, engine.parent)
    calibration = fit_calibration(held_out)
    if calibration is None:
        log.warning("no temperature fits the held-out images; probabilities stay as they are")
    return replace(loaded.manifest, calibration=calibration)


def _leave(held_out: HeldOut, manifest: Manifest, dataset: Dataset, folder: Path) -> None:
    images, graph = dataset.part(VAL), f"{BACKEND_OF_GATES}-{FP32}"
    chances, split = held_out.probabilities, dataset.split_sha256
    write_out_of_fold(folder, images, chances, split, manifest.training, graph)


def measure(dataset: Dataset, engine: Path) -> dict[str, dict[str, Any]]:
    """Score the held-out images with an engine folder.

    Returns
    -------
    dict
        ``val``, unless it was trained on, and ``test``: the figures of ``evaluate``, ``intervals``
        by lesion, and the ``temperature`` of the probabilities; None: uncalibrated.

    Raises
    ------
    InputError
        If an image is not the table's, or cannot be scored.
    """
    trained_on = read_manifest(engine).data.get("trained_on", ())
    parts = [part for part in MEASURED if part not in trained_on]
    held_out = dataset.table[dataset.table["split"].isin(parts)]
    rows = score_split(load_engine(engine), dataset.root, held_out, FP32, calibration=True)
    predicted = np.array([CLASSES.index(row.prediction) for row in rows], np.int64)
    probabilities = np.array([row.probabilities for row in rows])
    found, temperature = {}, temperature_of(read_manifest(engine))
    for split in parts:
        at = (held_out["split"] == split).to_numpy()
        truth, groups = labels_of(held_out["dx"][at]), list(held_out["group"][at])
        chances = probabilities[at]
        spans = bootstrap_intervals(truth, predicted[at], groups, probabilities=chances)
        figures = evaluate(truth, predicted[at], chances)
        intervals = {**spans, "grouped_by": "lesion"}
        found[split] = {**figures, "intervals": intervals, "temperature": temperature}
    return found


def _parity_images(dataset: Dataset) -> list[str]:
    """Validation images of all classes, taken at even steps through the classes.

    Of a table without them, which only a training that needs none takes, any.
    """
    val = dataset.part(VAL) if len(dataset.part(VAL)) else dataset.table
    val = val.sort_values(["dx", "image_id"])
    steps = np.unique(np.linspace(0, len(val) - 1, PARITY_IMAGES).round().astype(int))
    return list(val["sha256"].iloc[steps])


def _input_of(network: Any) -> InputSpec:
    _, height, width, _ = network.input_shape
    return InputSpec(height=height, width=width)


def _data(trained: Trained) -> dict[str, Any]:
    dataset = trained.dataset
    return {
        "name": "HAM10000",
        "source": "doi:10.7910/DVN/DBW86T",
        "licence": "CC BY-NC 4.0",
        "split_sha256": dataset.split_sha256,
        "trained_on": list(trained.sides),
        "counts": count(dataset.table),
    }


def _licence(record: Mapping[str, Any]) -> str:
    base = record["weights_licence"] or "see where they were downloaded from"
    return f"{LICENCE}. Weights of the base: {base}."


def _training(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in record.items() if k not in ("folds", "weights_licence")}
    # A path would name this machine; the hash says which weights they were.
    return kept | {"weights": Path(record["weights"]).name}
