"""`hambatch engines verify --gate`: what INT8 costs against FP32, measured and recorded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.manifest import MANIFEST_NAME, Manifest
from hambatch.engines.measurements import GATE, Change, Gate
from hambatch.engines.precision import (
    BACKEND_OF_GATES,
    FP32,
    INT8,
    OF_ANOTHER,
    TRAINED_ON,
    images_of_gate,
)
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.bootstrap import difference
from hambatch.evaluation.intervals import spans_of
from hambatch.evaluation.measures import label_measure
from hambatch.evaluation.sample import Place, drawn, once
from hambatch.scoring.journal.fingerprint import LIBRARIES
from hambatch.system.cpu import int8_kernels
from hambatch.system.files import write_json
from hambatch.system.packages import library_versions
from hambatch.training.dataset import NEXT, Dataset, labels_of, read_dataset, score_split

LINE = "{:<22}{:>8}{:>8}{:>10}   {:<18}{}"

BALANCED_ACCURACY: Place = ("balanced_accuracy",)
MELANOMA_SENSITIVITY: Place = ("classes", "mel", "sensitivity")


def gate_engine(
    folder: Path, split: Path, report: Callable[[str], None], *, dry_run: bool = False
) -> bool:
    """Measure, report, and then write it down, so that no error hides what was measured.

    Returns whether the gate is passed. Raises EngineError or InputError if that cannot be done.
    """
    engine = load_engine(folder)
    gate = measure_gate(engine, read_dataset(split))
    report("\n".join(gate_lines(engine.manifest, gate)))
    if not dry_run:
        record_gate(engine, gate)
        report(f"written to {folder / MANIFEST_NAME}")
    return gate.passed


def measure_gate(engine: Engine, dataset: Dataset) -> Gate:
    """Compare the INT8 graph with the FP32 graph on the gate images of a split table.

    Of a table without a part ``gate``, on the validation images: the test images are for the last
    figures only, and nothing is chosen by them. Both graphs score the same images by the path of
    every run, on this machine. Raises EngineError if the engine lacks one of the graphs; InputError
    if there is no melanoma to measure, or an image is not the table's, or cannot be scored.
    """
    graphs = {p: engine.manifest.files[engine.variant(p).file].sha256 for p in (FP32, INT8)}
    part: Literal["val", "gate"] = "gate" if len(dataset.part(GATE)) else "val"
    images = dataset.part(part)
    if "mel" not in set(images["dx"]):
        raise InputError(
            f"the split table has {len(images)} images of split {part} and no melanoma among them; "
            f"wanted rows of split {part} with dx mel.\nNext: {NEXT}"
        )
    fp32, int8 = (
        labels_of(row.prediction for row in score_split(engine, dataset.root, images, precision))
        for precision in graphs
    )
    found = changes(labels_of(images["dx"]), fp32, int8, images["group"].to_numpy())
    return Gate(
        backend=BACKEND_OF_GATES,
        instruction_set=int8_kernels(),
        part=part,
        images=len(images),
        lesions=images["group"].nunique(),
        label_flips=int((fp32 != int8).sum()),
        balanced_accuracy=found[BALANCED_ACCURACY],
        melanoma_sensitivity=found[MELANOMA_SENSITIVITY],
        split_sha256=dataset.split_sha256,
        fp32_sha256=graphs[FP32],
        int8_sha256=graphs[INT8],
        versions={k: v for k, v in library_versions().items() if k in LIBRARIES[BACKEND_OF_GATES]},
    )


def changes(
    truth: NDArray[np.int64], fp32: NDArray[np.int64], int8: NDArray[np.int64], groups: ArrayLike
) -> dict[Place, Change]:
    """Measure both figures by the labels of both graphs, with intervals of the difference.

    Whole lesions are drawn, as in :mod:`hambatch.evaluation.bootstrap`. A draw without any
    melanoma is left out of the interval of their sensitivity.

    Parameters
    ----------
    truth, fp32, int8
        int64 ``[n]``: positions in ``CLASSES``; a melanoma at least is among the truth.
    groups
        ``[n]``: the lesion of each image.
    """
    before, after = label_measure(truth, fp32), label_measure(truth, int8)
    was, now = (once(measure, truth.size) for measure in (before, after))
    change = difference(after, before)
    spans, found = spans_of(once(change, truth.size), drawn(change, groups)), {}
    for place in (BALANCED_ACCURACY, MELANOMA_SENSITIVITY):
        bounds, old, new = spans.found[place], was[place], now[place]
        if bounds is None or old is None or new is None:
            name = ".".join(place)
            raise InputError(
                f"the change of {name} has no interval on these lesions: "
                f"{spans.missing.get(name, 'it is undefined')}.\nNext: {NEXT}"
            )
        found[place] = Change(old, new, (100 * bounds[0], 100 * bounds[1]))
    return found


def record_gate(engine: Engine, gate: Gate) -> None:
    """Add it to its graph, in place of an earlier one of that backend and instruction set.

    Every file of the folder but ``engine.json`` stays as it is. Raises EngineError if
    ``engine.json`` has changed since the engine was loaded; InputError if it cannot be written.
    """
    if load_engine(engine.folder).manifest != engine.manifest:
        raise EngineError(
            f"{engine.folder / MANIFEST_NAME} changed while the gate was measured.\n"
            "Next: run the same command again"
        )

    def where(one: Gate) -> tuple[str, str]:
        return one.backend, one.instruction_set

    kept = [one for one in engine.variant(INT8).gates if where(one) != where(gate)]
    gates = tuple(sorted([*kept, gate], key=where))
    variants = tuple(
        replace(variant, gates=gates) if variant.precision == INT8 else variant
        for variant in engine.manifest.variants
    )
    manifest = replace(engine.manifest, variants=variants)
    write_json(engine.folder / MANIFEST_NAME, manifest.to_json())


def gate_lines(manifest: Manifest, gate: Gate) -> list[str]:
    """Say what was measured, against which limits, and whether it passed."""
    limits, flips = gate.limits, f"{100 * gate.label_flip_share:.2f} %"
    most = f"at most {100 * limits.label_flip_share:g} %"
    return [
        f"{manifest.name} {manifest.version}: int8 against fp32, {gate.backend}, "
        f"{gate.instruction_set}",
        f"{gate.images} {images_of_gate(manifest, gate)} of {gate.lesions} lesions "
        f"(split {gate.split_sha256[:12]}, part {gate.part}{_note(manifest, gate)})",
        LINE.format("", "fp32", "int8", "change", "95 % interval", "limit").rstrip(),
        LINE.format("label flips", "", "", gate.label_flips, flips, most),
        _figure("balanced accuracy", gate.balanced_accuracy, limits.balanced_accuracy_loss),
        _figure(
            "melanoma sensitivity", gate.melanoma_sensitivity, limits.melanoma_sensitivity_loss
        ),
        f"the gate is {'passed' if gate.passed else 'FAILED'}, on {images_of_gate(manifest, gate)}",
    ]


def _note(manifest: Manifest, gate: Gate) -> str:
    return {
        OF_ANOTHER: "; not the split that the engine was trained with: see what is held out",
        TRAINED_ON: "; the engine was trained on them: of others somewhat more labels may flip",
    }.get(images_of_gate(manifest, gate), "")


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
