"""`hambatch engines verify --gate`: what cheaper precisions cost, measured and recorded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.backend_names import (
    AUTO,
    BACKEND_OF_GATES,
    FP32,
    INT8,
    LIBRARIES,
    Cheaper,
    graph_precision,
)
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.manifest import MANIFEST_NAME, Manifest, Variant
from hambatch.engines.measurements import GATE, VAL, Change, Gate, Part
from hambatch.engines.precision import (
    OF_ANOTHER,
    TRAINED_ON,
    cheaper_here,
    images_of_gate,
    refuse_without_bfloat16,
)
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.bootstrap import difference
from hambatch.evaluation.intervals import spans_of
from hambatch.evaluation.measures import label_measure
from hambatch.evaluation.sample import Place, drawn, once
from hambatch.system.cpu import kernels_of
from hambatch.system.files import write_json
from hambatch.system.packages import library_versions
from hambatch.training.dataset import NEXT, Dataset, labels_of, read_dataset, score_split

LINE = "{:<22}{:>8}{:>10}{:>8}   {:<18}{}"

BALANCED_ACCURACY: Place = ("balanced_accuracy",)
MELANOMA_SENSITIVITY: Place = ("classes", "mel", "sensitivity")


def gate_engine(
    folder: Path,
    split: Path,
    report: Callable[[str], None],
    *,
    precision: str = AUTO,
    dry_run: bool = False,
) -> bool:
    """Measure, report, and then write it down, so that no error hides what was measured.

    Returns whether every gate is passed. Raises EngineError or InputError if that cannot be done,
    BackendError if the processor does not compute the precision.
    """
    engine = load_engine(folder)
    gates = []
    for gate in measure_gates(engine, read_dataset(split), precision):
        report("\n".join(gate_lines(engine.manifest, gate)))
        gates.append(gate)
    if not dry_run:
        record_gates(engine, gates)
        report(f"written to {folder / MANIFEST_NAME}")
    return all(gate.passed for gate in gates)


def measure_gates(engine: Engine, dataset: Dataset, wanted: str = AUTO) -> Iterator[Gate]:
    """Compare cheaper precisions with FP32 on the gate images of a split table, one after another.

    Of a table without a part ``gate``, on the validation images: the test images are for the last
    figures only, and nothing is chosen by them. Every precision scores the same images by the path
    of every run, on this machine, FP32 once for all. ``wanted`` ``auto``: all that the engine and
    the processor have. Raises EngineError if there is none; BackendError if the processor does not
    compute the wanted one; InputError if there is no melanoma to measure, or an image is not the
    table's, or cannot be scored.
    """
    precisions = _to_measure(engine.manifest, wanted)
    part: Part = GATE if len(dataset.part(GATE)) else VAL
    images = dataset.part(part)
    if "mel" not in set(images["dx"]):
        raise InputError(
            f"the split table has {len(images)} images of split {part} and no melanoma among them; "
            f"wanted rows of split {part} with dx mel.\nNext: {NEXT}"
        )

    def labels(precision: str) -> NDArray[np.int64]:
        rows = score_split(engine, dataset.root, images, precision)
        return labels_of(row.prediction for row in rows)

    fp32 = labels(FP32)
    for precision in precisions:
        yield _gate(engine.manifest, dataset, part, precision, fp32, labels(precision))


def _gate(
    manifest: Manifest,
    dataset: Dataset,
    part: Part,
    precision: Cheaper,
    fp32: NDArray[np.int64],
    cheaper: NDArray[np.int64],
) -> Gate:
    """Compare the labels, int64 ``[n]``, that both precisions gave the part's images."""
    images, versions = dataset.part(part), library_versions()
    found = changes(labels_of(images["dx"]), fp32, cheaper, images["group"].to_numpy())
    return Gate(
        backend=BACKEND_OF_GATES,
        instruction_set=kernels_of(precision),
        part=part,
        precision=precision,
        images=len(images),
        lesions=images["group"].nunique(),
        label_flips=int((fp32 != cheaper).sum()),
        balanced_accuracy=found[BALANCED_ACCURACY],
        melanoma_sensitivity=found[MELANOMA_SENSITIVITY],
        split_sha256=dataset.split_sha256,
        versions={k: v for k, v in versions.items() if k in LIBRARIES[BACKEND_OF_GATES]},
        **_graphs(manifest, precision),
    )


def _to_measure(manifest: Manifest, wanted: str) -> tuple[Cheaper, ...]:
    here = cheaper_here(manifest)
    if wanted != AUTO:
        refuse_without_bfloat16(wanted, AUTO)
        manifest.variant(graph_precision(wanted))
        here = tuple(precision for precision in here if precision == wanted)
    elif not here:
        manifest.variant(INT8)  # refuses
    return here


def _graphs(manifest: Manifest, precision: str) -> dict[str, str]:
    """Name the graphs that a gate is for, by its fields."""
    graphs = dict.fromkeys((FP32, graph_precision(precision)))
    return {f"{name}_sha256": manifest.files[manifest.variant(name).file].sha256 for name in graphs}


def changes(
    truth: NDArray[np.int64], fp32: NDArray[np.int64], cheaper: NDArray[np.int64], groups: ArrayLike
) -> dict[Place, Change]:
    """Measure both figures by the labels of both precisions, with intervals of the difference.

    Whole lesions are drawn, as in :mod:`hambatch.evaluation.bootstrap`. A draw without any
    melanoma is left out of the interval of their sensitivity.

    Parameters
    ----------
    truth, fp32, cheaper
        int64 ``[n]``: positions in ``CLASSES``; a melanoma at least is among the truth.
    groups
        ``[n]``: the lesion of each image.
    """
    before, after = label_measure(truth, fp32), label_measure(truth, cheaper)
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


def record_gates(engine: Engine, gates: Sequence[Gate]) -> None:
    """Add them to their graphs, in place of earlier ones of that precision, backend and machine.

    Every file of the folder but ``engine.json`` stays as it is. Raises EngineError if
    ``engine.json`` has changed since the engine was loaded; InputError if it cannot be written.
    """
    if load_engine(engine.folder).manifest != engine.manifest:
        raise EngineError(
            f"{engine.folder / MANIFEST_NAME} changed while the gate was measured.\n"
            "Next: run the same command again"
        )

    def with_gates(variant: Variant) -> Variant:
        new = [gate for gate in gates if graph_precision(gate.precision) == variant.precision]
        by_machine = {gate.machine: gate for gate in (*variant.gates, *new)}
        return replace(variant, gates=tuple(by_machine[key] for key in sorted(by_machine)))

    manifest = replace(engine.manifest, variants=tuple(map(with_gates, engine.manifest.variants)))
    write_json(engine.folder / MANIFEST_NAME, manifest.to_json())


def gate_lines(manifest: Manifest, gate: Gate) -> list[str]:
    """Say what was measured, against which limits, and whether it passed."""
    limits, flips = gate.limits, f"{100 * gate.label_flip_share:.2f} %"
    most = f"at most {100 * limits.label_flip_share:g} %"
    return [
        f"{manifest.name} {manifest.version}: {gate.precision} against fp32, {gate.backend}, "
        f"{gate.instruction_set}",
        f"{gate.images} {images_of_gate(manifest, gate)} of {gate.lesions} lesions "
        f"(split {gate.split_sha256[:12]}, part {gate.part}{_note(manifest, gate)})",
        LINE.format("", "fp32", gate.precision, "change", "95 % interval", "limit").rstrip(),
        LINE.format("label flips", "", "", gate.label_flips, flips, most),
        _figure("balanced accuracy", gate.balanced_accuracy, limits.balanced_accuracy_loss),
        _figure(
            "melanoma sensitivity", gate.melanoma_sensitivity, limits.melanoma_sensitivity_loss
        ),
        f"the gate of {gate.precision} is {'passed' if gate.passed else 'FAILED'}, on "
        f"{images_of_gate(manifest, gate)}",
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
        f"{change.cheaper:.4f}",
        f"{change.change:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        f"{-loss:+g} points",
    )
