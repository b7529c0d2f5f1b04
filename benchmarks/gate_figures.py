"""What an INT8 graph changes on held-out images, and whether it passes the gate."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hambatch.engines.backend_names import BACKEND_OF_GATES, FP32, INT8
from hambatch.engines.loading import Engine
from hambatch.engines.measurements import Gate
from hambatch.engines.probabilities import softmax
from hambatch.pipelines.decode import decode
from hambatch.system.cpu import int8_kernels
from hambatch.training.dataset import Dataset, labels_of, read_split_file
from hambatch.training.gate import BALANCED_ACCURACY, MELANOMA_SENSITIVITY, changes


@dataclass(frozen=True)
class Part:
    """Decoded images of one part of the split: ``images`` uint8 RGB, ``groups`` their lesions."""

    name: str
    images: np.ndarray
    truth: np.ndarray
    groups: np.ndarray


def read_part(dataset: Dataset, name: str, engine: Engine, count: int = 0) -> Part:
    """Decode a part as scoring decodes it; only the first ``count`` images unless that is 0."""
    rows = dataset.part(name)
    rows = rows.iloc[: count or len(rows)]
    paths = [dataset.root / file for file in rows["file"]]
    for path, sha256 in zip(paths, rows["sha256"], strict=True):
        read_split_file(path, sha256)  # refuses another file
    images = decode(paths, engine.manifest.input, engine.manifest.preprocessing)
    return Part(name, images, labels_of(rows["dx"]), rows["group"].to_numpy())


def figures(fp32: np.ndarray, int8: np.ndarray) -> dict[str, Any]:
    """Compare the logits ``[n, 7]`` of both graphs on the same images."""
    flips = fp32.argmax(axis=1) != int8.argmax(axis=1)
    drift = np.abs(softmax(int8) - softmax(fp32)).max(axis=1)
    return {
        "label_flips": int(flips.sum()),
        "label_flip_share": round(float(flips.mean()), 5),
        "probability_drift": {
            "mean": round(float(drift.mean()), 5),
            "p99": round(float(np.quantile(drift, 0.99)), 5),
            "max": round(float(drift.max()), 5),
        },
        "logit_rms_error": round(float(np.sqrt(((int8.astype(float) - fp32) ** 2).mean())), 5),
    }


def gate_of(
    part: Part, split_sha256: str, sha256: dict[str, str], logits: dict[str, np.ndarray]
) -> Gate:
    """Judge a graph as `hambatch engines verify --gate` does: by these limits, on these images.

    ``sha256`` and ``logits`` are of both graphs, by their precisions.
    """
    fp32, int8 = (logits[precision].argmax(axis=1) for precision in (FP32, INT8))
    found = changes(part.truth, fp32, int8, part.groups)
    return Gate(
        backend=BACKEND_OF_GATES,
        instruction_set=int8_kernels(),
        part="gate",
        precision=INT8,
        images=len(part.images),
        lesions=len(np.unique(part.groups)),
        label_flips=int((fp32 != int8).sum()),
        balanced_accuracy=found[BALANCED_ACCURACY],
        melanoma_sensitivity=found[MELANOMA_SENSITIVITY],
        split_sha256=split_sha256,
        fp32_sha256=sha256[FP32],
        int8_sha256=sha256[INT8],
    )


def verdict(gate: Gate) -> dict[str, Any]:
    """Say what of a gate is no repetition: both changes in points, the limits, and the end."""
    return {
        "balanced_accuracy_change": round(gate.balanced_accuracy.change, 3),
        "melanoma_sensitivity_change": round(gate.melanoma_sensitivity.change, 3),
        "limits": asdict(gate.limits),
        "passed": gate.passed,
    }
