"""`hambatch engines verify --gate`: what INT8 costs against FP32, measured and recorded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.manifest import MANIFEST_NAME, Change, Gate, Manifest, Variant
from hambatch.engines.precision import BACKEND_OF_GATES, FP32, INT8
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.bootstrap import difference
from hambatch.evaluation.measures import evaluate, label_measure
from hambatch.evaluation.sample import RESAMPLES, Place, drawn, interval
from hambatch.evaluation.training_split import TRAIN
from hambatch.score.journal.fingerprint import LIBRARIES
from hambatch.system.cpu import int8_kernels
from hambatch.system.files import write_json
from hambatch.system.packages import library_versions
from hambatch.training.dataset import NEXT, Dataset, labels_of, read_dataset, score_split
from hambatch.types import Row

Interval = tuple[float, float]


class Intervals(NamedTuple):
    """Of the second prediction's figure minus the first's, in percentage points."""

    balanced_accuracy: Interval
    melanoma_sensitivity: Interval


def paired_intervals(
    truth: NDArray[np.int64],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    groups: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Intervals:
    """Percentile bootstrap of whole lesions, as in :mod:`hambatch.evaluation.bootstrap`.

    A draw without any melanoma says nothing about them and is left out of their interval.

    Parameters
    ----------
    truth, first, second
        int64 ``[n]``: positions in ``CLASSES``; a melanoma at least is among the truth.
    groups
        ``[n]``: the lesion of each image.
    """
    measure = difference(label_measure(truth, second), label_measure(truth, first))
    found = drawn(measure, groups, resamples=resamples, seed=seed)

    def points(place: Place) -> Interval:
        found_in_draws = interval(found[place])
        if found_in_draws is None:
            raise ValueError(f"{'.'.join(place)} is undefined in most draws: wanted a melanoma")
        low, high = found_in_draws
        return 100 * low, 100 * high

    return Intervals(points(("balanced_accuracy",)), points(("classes", "mel", "sensitivity")))


SIDE = "val"
"""The test images are for the last figures only: nothing is chosen by them."""


def measure_gate(engine: Engine, dataset: Dataset) -> Gate:
    """Compare the INT8 graph with the FP32 graph on the validation images of a split table.

    Both see the same images by the path of every run, on this machine.

    Raises
    ------
    EngineError
        If the engine lacks one of the graphs.
    InputError
        If there is no melanoma to measure, or an image is not the table's, or
        cannot be scored.
    """
    graphs = {p: engine.manifest.files[engine.variant(p).file].sha256 for p in (FP32, INT8)}
    images = dataset.part(SIDE)
    if "mel" not in set(images["dx"]):
        raise InputError(
            f"the split table has {len(images)} validation images and no melanoma among them; "
            f"wanted rows of split {SIDE} with dx mel.\nNext: {NEXT}"
        )
    fp32, int8 = (score_split(engine, dataset.root, images, precision) for precision in graphs)
    truth = labels_of(images["dx"])
    labels = [labels_of(row.prediction for row in rows) for rows in (fp32, int8)]
    before, after = _evaluated(truth, fp32), _evaluated(truth, int8)
    intervals = paired_intervals(truth, labels[0], labels[1], images["group"].to_numpy())
    return Gate(
        backend=BACKEND_OF_GATES,
        instruction_set=int8_kernels(),
        images=len(images),
        lesions=images["group"].nunique(),
        label_flips=int((labels[0] != labels[1]).sum()),
        balanced_accuracy=Change(before[0], after[0], intervals.balanced_accuracy),
        melanoma_sensitivity=Change(before[1], after[1], intervals.melanoma_sensitivity),
        split_sha256=dataset.split_sha256,
        fp32_sha256=graphs[FP32],
        int8_sha256=graphs[INT8],
        versions={k: v for k, v in library_versions().items() if k in LIBRARIES[BACKEND_OF_GATES]},
    )


def _evaluated(truth: NDArray[np.int64], rows: list[Row]) -> tuple[float, float]:
    """Give balanced accuracy and melanoma sensitivity."""
    probabilities = np.array([row.probabilities for row in rows])
    found = evaluate(truth, labels_of(row.prediction for row in rows), probabilities)
    return found["balanced_accuracy"], found["classes"]["mel"]["sensitivity"]


def record_gate(engine: Engine, gate: Gate) -> None:
    """Add it to its graph, in place of what was measured by that backend on that machine before.

    Every file of the folder but ``engine.json`` stays as it is.

    Raises
    ------
    EngineError
        If ``engine.json`` has changed since the engine was loaded.
    InputError
        If the folder cannot be written to.
    """
    if load_engine(engine.folder).manifest_sha256 != engine.manifest_sha256:
        raise EngineError(
            f"{engine.folder / MANIFEST_NAME} changed while the gate was measured.\n"
            "Next: run the same command again"
        )
    variants = tuple(
        _with(variant, gate) if variant.precision == INT8 else variant
        for variant in engine.manifest.variants
    )
    manifest = replace(engine.manifest, variants=variants)
    write_json(engine.folder / MANIFEST_NAME, manifest.to_json())


def _with(variant: Variant, gate: Gate) -> Variant:
    kept = [g for g in variant.gates if _where(g) != _where(gate)]
    return replace(variant, gates=tuple(sorted([*kept, gate], key=_where)))


def _where(gate: Gate) -> tuple[str, str]:
    return gate.backend, gate.instruction_set


LINE = "{:<22}{:>8}{:>8}{:>10}   {:<18}{}"


def gate_lines(manifest: Manifest, gate: Gate) -> list[str]:
    """Say what was measured, against which limits, and whether it passed."""
    limits = gate.limits
    flips = LINE.format(
        "label flips",
        "",
        "",
        f"{gate.label_flips}",
        f"{100 * gate.label_flip_share:.2f} %",
        f"at most {100 * limits.label_flip_share:g} %",
    )
    balanced = _figure("balanced accuracy", gate.balanced_accuracy, limits.balanced_accuracy_loss)
    melanoma = _figure(
        "melanoma sensitivity", gate.melanoma_sensitivity, limits.melanoma_sensitivity_loss
    )
    return [
        f"{manifest.name} {manifest.version}: int8 against fp32, {gate.backend}, "
        f"{gate.instruction_set}",
        f"{gate.images} validation images of {gate.lesions} lesions "
        f"(split {gate.split_sha256[:12]}{_note(manifest, gate)})",
        LINE.format("", "fp32", "int8", "change", "95 % interval", "limit").rstrip(),
        flips,
        balanced,
        melanoma,
        "the gate is passed" if gate.passed else "the gate is FAILED",
    ]


def _note(manifest: Manifest, gate: Gate) -> str:
    if manifest.data.get("split_sha256", gate.split_sha256) != gate.split_sha256:
        return "; not the split that the engine was trained with: see what is held out"
    if SIDE in manifest.data.get("trained_on", TRAIN):
        return "; the engine was trained on them: of others somewhat more labels may flip"
    return ""


def _figure(name: str, change: Change, loss: float) -> str:
    low, high = change.interval
    return LINE.format(
        name,
        f"{change.fp32:.4f}",
        f"{change.int8:.4f}",
        f"{change.change:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        f"{-loss:+g} points",
    )


def gate_engine(
    folder: Path, split: Path, tell: Callable[[str], None], *, dry_run: bool = False
) -> bool:
    """Measure, tell, and then write it down, so that no error hides what was measured.

    Returns
    -------
    bool
        Whether the gate is passed.

    Raises
    ------
    EngineError, InputError
        If it cannot be measured or written down.
    """
    engine = load_engine(folder)
    gate = measure_gate(engine, read_dataset(split))
    tell("\n".join(gate_lines(engine.manifest, gate)))
    if not dry_run:
        record_gate(engine, gate)
        tell(f"written to {folder / 'engine.json'}")
    return gate.passed
