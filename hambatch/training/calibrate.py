"""The story of `hambatch engines calibrate`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hambatch.engines.card import calibration_lines, with_section
from hambatch.engines.loading import Engine, load_engine, write_manifest
from hambatch.engines.manifest import MANIFEST_NAME, Calibration, Manifest
from hambatch.errors import EngineError, InputError
from hambatch.system.files import write_text
from hambatch.training.dataset import read_dataset
from hambatch.training.held_out import read_held_out, score_held_out
from hambatch.training.options import CalibrateOptions
from hambatch.training.temperature import COLDEST, HOTTEST

CARD = "card.md"


def record_calibration(engine: Engine, calibration: Calibration) -> Manifest:
    """Put it in place of the one before; graphs, known pictures and gates stay as they are.

    A kill between card and ``engine.json`` leaves an engine that loading refuses until the card
    is put back.

    Raises
    ------
    EngineError
        If a file has changed since the engine was loaded.
    InputError
        If the folder cannot be written to.
    """
    # Every file is hashed anew below: none may have changed.
    if load_engine(engine.folder).manifest_sha256 != engine.manifest_sha256:
        raise EngineError(
            f"{engine.folder / MANIFEST_NAME} changed while the temperature was fitted.\n"
            "Next: run the same command again"
        )
    manifest = replace(engine.manifest, calibration=calibration)
    card = engine.folder / CARD
    if CARD in manifest.files and card.is_file():
        write_text(card, with_section(card.read_text(encoding="utf-8"), manifest))
    return write_manifest(engine.folder, manifest)


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
