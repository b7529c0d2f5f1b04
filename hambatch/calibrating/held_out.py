"""The predictions that a temperature is fitted on: of lesions that no network was trained on."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.calibrating.fitting import fit_temperature
from hambatch.calibrating.improvement import improvements
from hambatch.engines.calibration_spec import SCORED, Calibration, FittedOn
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.evaluation.training_split import TRAIN
from hambatch.out_of_fold_record import TEST, command_for
from hambatch.split_scoring import score_split
from hambatch.training.dataset import Dataset, labels_of


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
