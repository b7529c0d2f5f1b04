"""Score the validation images with both graphs, and compare."""

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Row
from hambatch.device import int8_kernels
from hambatch.engines.choice import BACKEND_OF_GATES, FP32, INT8
from hambatch.engines.gate_spec import Change, Gate
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.evaluation.metrics import evaluate
from hambatch.gating.paired_bootstrap import paired_intervals
from hambatch.journal.fingerprint import LIBRARIES
from hambatch.split_scoring import NEXT, score_split
from hambatch.training.dataset import Dataset, labels_of
from hambatch.versions import library_versions

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
