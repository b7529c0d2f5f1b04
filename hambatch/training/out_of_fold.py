"""Predictions by networks that did not see the lesion, as a table like that of `score`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch import __version__
from hambatch.atomic import write_json, write_text
from hambatch.batches import Row
from hambatch.engines.calibration_spec import OUT_OF_FOLD
from hambatch.hashing import sha256_of_file
from hambatch.labels import CLASSES, MALIGNANT
from hambatch.names import encode_name
from hambatch.probabilities import DECIMALS
from hambatch.run_record import record_path
from hambatch.tables import open_table

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
