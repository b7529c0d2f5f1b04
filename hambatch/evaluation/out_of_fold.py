"""Predictions by networks that did not see the lesion, as a table like that of `score`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch import __version__
from hambatch.engines.classes import CLASSES, MALIGNANT
from hambatch.engines.manifest import OUT_OF_FOLD
from hambatch.engines.probabilities import DECIMALS
from hambatch.errors import InputError
from hambatch.sinks.formats import open_table
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file, write_json, write_text
from hambatch.system.text import encode_name
from hambatch.types import Row

TEST = "test"


FREE = frozenset(
    "weights weights_licence seed folds device xla mixed_precision pipeline_version epochs patience"
    " val_every val_patience checkpoint_seconds final stop_step"
    " steps_run best_step epochs_run best_epoch".split()
)
"""Of a training's record: what may differ between a recipe's networks, and what came of it."""


class OutOfFoldRecord(NamedTuple):
    """The record beside an out-of-fold table; ``training`` as in ``engine.json``."""

    sha256: str
    split_sha256: str
    parts: tuple[str, ...]
    training: Mapping[str, Any]


def read_out_of_fold_record(path: Path) -> OutOfFoldRecord | None:
    """Read the record beside a table; None if there is none of that kind.

    Raises
    ------
    InputError
        If it is of another table, or does not say which networks made it.
    """
    try:
        record = json.loads(record_path(path).read_text(encoding="utf-8"))
        kind, split, digest = record["state"], record["split_sha256"], record["output"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if kind != OUT_OF_FOLD:
        return None
    found = sha256_of_file(path)
    if found != digest:
        raise _refused(path, f"sha256 {found}", f"the table of its record, {digest}", {})
    parts, training = record.get("parts"), record.get("training")
    if not isinstance(parts, list) or not isinstance(training, dict):
        raise _refused(path, "a record that names no recipe", "one of this version", {})
    return OutOfFoldRecord(digest, split, tuple(map(str, parts)), training)


def refuse_other_networks(
    path: Path, record: OutOfFoldRecord, split_sha256: str, training: Mapping[str, Any]
) -> None:
    """Refuse predictions on another split table, or by another recipe than ``training``.

    Raises
    ------
    InputError
        Naming what differs.
    """
    if record.split_sha256 != split_sha256:
        raise _refused(
            path,
            f"predictions of lesions held out by split table {record.split_sha256}",
            f"those of --data, {split_sha256}",
            training,
        )
    made, wanted = dict(_flat(record.training)), dict(_flat(training))
    differing = [
        f"{name} {made[name]}, not {wanted[name]}"
        for name in sorted((made.keys() & wanted.keys()) - FREE)
        if made[name] != wanted[name]
    ]
    if differing:
        raise _refused(
            path, f"networks of {', '.join(differing)}", "those of the engine's recipe", training
        )


def held_out_parts(record: OutOfFoldRecord) -> tuple[str, ...]:
    """Name the parts of the split table that a temperature may be fitted on."""
    return tuple(part for part in record.parts if part != TEST)


def command_for(training: Mapping[str, Any]) -> str:
    """Type this to have out-of-fold predictions for an engine of such a training."""
    recipe = training.get("recipe", "published")
    return (
        f"hambatch train --data split.csv --recipe {recipe} --folds 5 --out cv.json, with the "
        "engine's other options, and give cv.json.work/out_of_fold.csv to --predictions"
    )


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield name, value


def _refused(path: Path, found: str, wanted: str, training: Mapping[str, Any]) -> InputError:
    return InputError(f"{path}: found {found}; wanted {wanted}.\nNext: {command_for(training)}")


TABLE_NAME, FOLDS_NAME = "out_of_fold.csv", "folds.csv"


_MALIGNANT = [k for k, name in enumerate(CLASSES) if name in MALIGNANT]


def write_out_of_fold(
    folder: Path,
    images: pd.DataFrame,
    probabilities: NDArray[np.float64],
    split_sha256: str,
    training: Mapping[str, Any],
    backend: str = "keras-fp32",
) -> Path:
    """Write the table, and a record beside it that says what it is; returns the table's path.

    Parameters
    ----------
    images
        ``file``, ``sha256`` and ``split`` of each image.
    probabilities
        float64 ``[n, 7]``, uncalibrated, by networks that did not see the image's lesion.
    training
        Of these networks, as in ``engine.json``: a temperature is of one recipe.
    """
    path = folder / TABLE_NAME
    rows = [
        _row(file, sha256, values, backend)
        for file, sha256, values in zip(
            images["file"], images["sha256"], probabilities, strict=True
        )
    ]
    with open_table(path, "csv") as write:
        for row in sorted(rows, key=lambda row: encode_name(row.image)):
            write(row)
    record = {
        "hambatch": __version__,
        "state": OUT_OF_FOLD,
        "output": {"file": path.name, "sha256": sha256_of_file(path)},
        "calibration": {"temperature": None},
        "split_sha256": split_sha256,
        "parts": sorted(set(images["split"])),
        "training": dict(training),
    }
    write_json(record_path(path), record)
    return path


def _row(file: str, sha256: str, values: NDArray[np.float64], backend: str) -> Row:
    return Row(
        file,
        "ok",
        prediction=CLASSES[int(values.argmax())],
        probabilities=tuple(round(float(value), DECIMALS) for value in values),
        malignant=round(float(values[_MALIGNANT].sum()), DECIMALS),
        backend=backend,
        sha256=sha256,
    )


def write_folds(folder: Path, images: pd.DataFrame) -> Path:
    """Write which fold each image was tested in, with its truth; returns the table's path.

    ``hambatch evaluate`` takes it for the truth of the out-of-fold predictions.
    """
    path = folder / FOLDS_NAME
    columns = ["image_id", "lesion_id", "dx", "sha256", "fold"]
    rows = images[columns].sort_values("image_id")
    write_text(path, rows.to_csv(index=False, lineterminator="\n"))
    return path
