"""Images of a split table, scored by the path of every run, and each of them the table's."""

from pathlib import Path

import pandas as pd

from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.engines.choice import BACKEND_OF_GATES
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.prediction import predict_files

NEXT = "hambatch prepare HAM10000_DIR --out split.csv, or restore the images that it names"


def score_split(
    engine: Engine, root: Path, images: pd.DataFrame, precision: str, *, calibration: bool = False
) -> list[Row]:
    """Score with one graph on the CPU, uncalibrated unless asked; rows in the table's order.

    Raises
    ------
    InputError
        If an image is not the table's, or cannot be scored.
    """
    # Of a graph that is being measured no gate has passed yet.
    options = ScoreOptions.on_cpu(
        engine=str(engine.folder),
        backend=BACKEND_OF_GATES,
        precision=precision,
        force=True,
        calibration=calibration,
    )
    rows = predict_files(root, list(images["file"]), options)
    for row, wanted in zip(rows, images["sha256"], strict=True):
        if row.status != "ok":
            raise InputError(f"{root / row.image} cannot be scored: {row.reason}.\nNext: {NEXT}")
        if row.sha256 != wanted:
            raise InputError(
                f"{root / row.image} is not the image of the split table: "
                f"sha256 {row.sha256}, wanted {wanted}.\nNext: {NEXT}"
            )
    return rows
