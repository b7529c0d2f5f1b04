"""`hambatch engines calibrate`: one temperature, fitted on held-out predictions, for an engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.additions import without_additions
from hambatch.engines.card_sections import calibration_lines, with_sections
from hambatch.engines.loading import (
    Engine,
    load_engine,
    replacing_card,
    restore_card,
    write_manifest,
)
from hambatch.engines.manifest import CARD, MANIFEST_NAME, Manifest
from hambatch.engines.measurements import Calibration, Improvement, Interval
from hambatch.engines.probabilities import softmax, tempered
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.bootstrap import with_calibration
from hambatch.evaluation.calibration import SMALLEST, calibration_measure
from hambatch.evaluation.sample import Sample, once
from hambatch.training.dataset import read_dataset
from hambatch.training.held_out import HeldOut, read_held_out, score_held_out
from hambatch.training.options import CalibrateOptions

COLDEST, HOTTEST = 0.05, 20.0
"""What is not between them is no calibration: the predictions are all right, or of no use."""

DECIMALS = 6
"""Of a temperature: beyond them it depends on the order in which a machine adds."""

FIGURES = ("log_loss", "ece")


def calibrate_engine(
    folder: Path,
    split: Path,
    options: CalibrateOptions,
    report: Callable[[str], None],
    *,
    predictions: Path | None = None,
    dry_run: bool = False,
) -> None:
    """Fit, report, and then write it down.

    Raises InputError if no temperature fits, or as reading and writing do.

    Parameters
    ----------
    split
        Table of ``hambatch prepare``.
    report
        Called with lines to print.
    predictions
        Uncalibrated held-out predictions; without them the images are scored.
    """
    restore_card(folder)
    engine, dataset = load_engine(folder), read_dataset(split)
    parts = tuple(dict.fromkeys(options.split))
    if predictions is None:
        held_out = score_held_out(engine, dataset, parts, options.precision)
    else:
        held_out = read_held_out(engine, dataset, parts, predictions)
    calibration = fit_calibration(held_out)
    if calibration is None:
        raise InputError(
            f"no temperature fits {held_out.truth.size} predictions: the likelihood grows beyond "
            f"{COLDEST} or {HOTTEST}, so they are all right, or of no use; wanted predictions of "
            "which some are wrong.\nNext: give more images, or look at hambatch evaluate"
        )
    name = f"{engine.manifest.name} {engine.manifest.version}"
    report("\n".join([name, *calibration_lines(calibration)]))
    if not dry_run:
        record_calibration(engine, calibration)
        report(f"written to {folder / MANIFEST_NAME}")


def fit_calibration(held_out: HeldOut) -> Calibration | None:
    """Fit a temperature, and measure what it changes; None if no temperature fits."""
    probabilities, truth = held_out.probabilities, held_out.truth
    temperature = fit_temperature(probabilities, truth)
    if temperature is None:
        return None
    return Calibration(
        temperature=temperature,
        fitted_on=held_out.fitted_on,
        **improvements(probabilities, truth, held_out.groups, temperature),
    )


def fit_temperature(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float | None:
    """Find the temperature with the smallest negative log-likelihood.

    The likelihood is log-concave in 1 / temperature: one minimum, where the slope changes sign.

    Parameters
    ----------
    probabilities
        float64 ``[n, 7]``, n > 0, uncalibrated; see :func:`floored`.
    truth
        int64 ``[n]``: positions in ``CLASSES``.

    Returns
    -------
    The temperature, rounded to ``DECIMALS``; None if not between ``COLDEST`` and ``HOTTEST``.
    """
    from scipy.optimize import brentq

    logs = np.log(floored(probabilities))
    of_truth = logs[np.arange(truth.size), truth]

    def slope(log_temperature: float) -> float:
        """Derivative of the mean negative log-likelihood by 1 / temperature."""
        expected = (softmax(logs / np.exp(log_temperature)) * logs).sum(axis=1)
        return float((expected - of_truth).mean())

    low, high = np.log(COLDEST), np.log(HOTTEST)
    if slope(low) <= 0 or slope(high) >= 0:
        return None
    return round(float(np.exp(brentq(slope, low, high, xtol=1e-12))), DECIMALS)


def floored(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let a 0 of six decimals count as the last of them, as the log loss does."""
    found: NDArray[np.float64] = np.maximum(probabilities, SMALLEST)
    return found


def improvements(
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    groups: ArrayLike,
    temperature: float,
) -> dict[str, Improvement]:
    """Measure each of ``FIGURES`` on the same images without and with the temperature.

    Parameters
    ----------
    probabilities, truth
        As in :func:`fit_temperature`.
    groups
        ``[n]``: the lesion of each image; whole lesions are drawn.
    """
    calibrated = tempered(floored(probabilities), temperature)
    before, after = (_measured(each, truth, groups) for each in (probabilities, calibrated))
    return {name: Improvement(*before[name], *after[name]) for name in FIGURES}


def _measured(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], groups: ArrayLike
) -> dict[str, tuple[float, Interval]]:
    """Give each figure of the sample itself, and its interval over the draws."""
    # Of equals, the first: a temperature changes no label.
    sample = Sample(truth, probabilities.argmax(axis=1), probabilities)
    measure, found = calibration_measure(sample), {}
    figures, (_, spans) = once(measure, sample.size), with_calibration(measure, sample, groups)
    for name in FIGURES:
        figure, span = figures[name,], spans.found[name,]
        if figure is None or span is None:
            raise ValueError(f"{name} has no interval: {spans.missing}; wanted a mean over images")
        found[name] = figure, (span[0], span[1])
    return found


def record_calibration(engine: Engine, calibration: Calibration) -> Manifest:
    """Put it in place of the one before; graphs, sentinels and gates stay as they are.

    A kill between card and ``engine.json`` leaves an engine that loading refuses until
    :func:`~hambatch.engines.loading.restore_card` is called. Raises EngineError if a file has
    changed since the engine was loaded; InputError if the folder cannot be written to.
    """
    # Every file is hashed anew below: none may have changed.
    if load_engine(engine.folder).manifest != engine.manifest:
        raise EngineError(
            f"{engine.folder / MANIFEST_NAME} changed while the temperature was fitted.\n"
            "Next: run the same command again"
        )
    manifest = replace(engine.manifest, calibration=calibration)
    card = engine.folder / CARD
    if CARD not in manifest.files or not card.is_file():
        return write_manifest(engine.folder, manifest)
    before = card.read_text(encoding="utf-8")
    after = with_sections(before, manifest)
    if manifest.other_images is not None and after != before:
        plain = without_additions(manifest.other_images, manifest, after)
        manifest = replace(manifest, other_images=plain)
    with replacing_card(engine.folder, after):
        written = write_manifest(engine.folder, manifest)
    return written
