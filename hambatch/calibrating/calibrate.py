"""The story of `hambatch engines calibrate`."""

from collections.abc import Callable
from pathlib import Path

from hambatch.calibrating.fitting import COLDEST, HOTTEST
from hambatch.calibrating.held_out import score_held_out
from hambatch.calibrating.recording import record_calibration
from hambatch.calibrating.table import read_held_out
from hambatch.config import CalibrateOptions
from hambatch.engines.calibration_text import calibration_lines
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import MANIFEST_NAME
from hambatch.errors import InputError
from hambatch.training.dataset import read_dataset


def calibrate_engine(
    folder: Path,
    split: Path,
    options: CalibrateOptions,
    tell: Callable[[str], None],
    *,
    predictions: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Fit, tell, and then write it down.

    Parameters
    ----------
    split
        Table of ``hambatch prepare``.
    predictions
        Uncalibrated held-out predictions; without them the images are scored.

    Raises
    ------
    HambatchError
        If the predictions cannot be had, no temperature fits them, or it cannot be written down.
    """
    engine, dataset = load_engine(folder), read_dataset(split)
    parts = tuple(dict.fromkeys(options.split))
    if predictions is None:
        held_out = score_held_out(engine, dataset, parts, options.precision)
    else:
        held_out = read_held_out(engine, dataset, parts, predictions)
    calibration = held_out.calibration()
    if calibration is None:
        raise InputError(
            f"no temperature fits {held_out.truth.size} predictions: the likelihood grows beyond "
            f"{COLDEST} or {HOTTEST}, so they are all right, or of no use; wanted predictions of "
            "which some are wrong.\nNext: give more images, or look at hambatch evaluate"
        )
    name = f"{engine.manifest.name} {engine.manifest.version}"
    tell("\n".join([name, *calibration_lines(calibration)]))
    if not dry_run:
        record_calibration(engine, calibration)
        tell(f"written to {folder / MANIFEST_NAME}")
