"""Predictions by networks that did not see the lesion, as a table like that of `score`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch import __version__
from hambatch.engines.classes import CLASSES
from hambatch.engines.measurements import OUT_OF_FOLD
from hambatch.engines.probabilities import DECIMALS
from hambatch.errors import InputError
from hambatch.evaluation.sample import MALIGNANT_CLASSES
from hambatch.sinks.formats import open_table
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file, write_json, write_text
from hambatch.system.schema import convert, read_json_file
from hambatch.system.text import encode_name
from hambatch.types import Row

TEST = "test"

FREE = frozenset(
    "weights weights_licence weights_licence_file seed folds device xla mixed_precision"
    " pipeline_version epochs patience val_every val_patience checkpoint_seconds final stop_step"
    " steps_run best_step epochs_run best_epoch".split()
)
"""Of a training's record: what may differ between a recipe's networks, and what came of it."""

FOLDED_SINCE = 3
"""``pipeline_version`` from which fine-tuning folds batch normalisation, and learns otherwise."""

EARLIER: dict[str, Any] = {
    "pipeline_version": 1,
    "stride_in": "1x1",
    "extra": [],
    "head_steps": 0,
    "crop_extent": 0.0,
    **dict.fromkeys(("shades_of_grey", "tint", "degraded_share", "style_share"), 0.0),
    **dict.fromkeys(("border_share", "hair_share", "ruler_share", "stretch"), 0.0),
}
"""What a record means that is from before there was an option."""


@dataclass(frozen=True)
class _Output:
    sha256: str


@dataclass(frozen=True)
class OutOfFoldRecord:
    """The record beside an out-of-fold table; ``training`` as in ``engine.json``."""

    output: _Output
    split_sha256: str
    parts: tuple[str, ...]
    training: dict[str, Any]

    @property
    def sha256(self) -> str:
        """Of the table."""
        return self.output.sha256


def read_out_of_fold_record(path: Path) -> OutOfFoldRecord | None:
    """Read the record beside a table; None if there is none of that kind.

    Raises InputError if it is of another table, or does not say which networks made it.
    """
    try:
        raw = read_json_file(record_path(path), dict[str, Any])
    except (OSError, ValueError):
        return None
    if raw.get("state") != OUT_OF_FOLD:
        return None
    try:
        record = convert(raw, OutOfFoldRecord)
    except ValueError as error:
        found = f"a record that names no recipe ({error})"
        raise _refused(path, found, "one of this version", {}) from error
    digest = sha256_of_file(path)
    if digest != record.sha256:
        raise _refused(path, f"sha256 {digest}", f"the table of its record, {record.sha256}", {})
    return record


def refuse_other_networks(
    path: Path, record: OutOfFoldRecord, split_sha256: str, training: Mapping[str, Any]
) -> None:
    """Refuse predictions on another split table, or by another recipe than ``training``.

    Raises InputError, naming what differs.
    """
    if record.split_sha256 != split_sha256:
        raise _refused(
            path,
            f"predictions of lesions held out by split table {record.split_sha256}",
            f"those of --data, {split_sha256}",
            training,
        )
    made, wanted = (EARLIER | dict(_flat(values)) for values in (record.training, training))
    differing = [
        f"{name} {made[name]}, not {wanted[name]}"
        for name in sorted((made.keys() & wanted.keys()) - FREE)
        if made[name] != wanted[name]
    ]
    versions = made["pipeline_version"], wanted["pipeline_version"]
    folded = {version >= FOLDED_SINCE for version in versions}
    if wanted.get("recipe", "published") == "finetune" and len(folded) > 1:
        differing.append(f"pipeline_version {versions[0]}, not {versions[1]}")
    if differing:
        raise _refused(
            path, f"networks of {', '.join(differing)}", "those of the engine's recipe", training
        )


def held_out_parts(record: OutOfFoldRecord) -> tuple[str, ...]:
    """Name the parts of the split table that a temperature may be fitted on."""
    return tuple(part for part in record.parts if part != TEST)


def command_for(training: Mapping[str, Any]) -> str:
    """Give the command that makes out-of-fold predictions for an engine of such a training."""
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
    columns = images["file"], images["sha256"], probabilities
    rows = [_row(*values, backend) for values in zip(*columns, strict=True)]
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
        malignant=round(float(values[MALIGNANT_CLASSES].sum()), DECIMALS),
        backend=backend,
        sha256=sha256,
    )


def write_folds(folder: Path, images: pd.DataFrame) -> Path:
    """Write which fold each image was tested in, with its truth; returns the table's path.

    ``hambatch evaluate`` takes it for the truth of the out-of-fold predictions.
    """
    path = folder / FOLDS_NAME
    rows = images[["image_id", "lesion_id", "dx", "sha256", "fold"]].sort_values("image_id")
    write_text(path, rows.to_csv(index=False, lineterminator="\n"))
    return path
