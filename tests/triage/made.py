"""An engine with a split table, a table of predictions, and the record of its run; all made up.

No image is scored: the predictions say what a test needs them to say.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.engines.training_images import (
    TrainingImage,
    TrainingImages,
    hashed,
    write_training_images,
)
from hambatch.ham10000.table import COLUMNS
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_bytes, sha256_of_file
from tests.evaluation.tables import record
from tests.faults.soft_engine import write_soft_engine

CARD = "# soft 1\n\n## Data\n\nSome.\n\n## Limits\n\n- One.\n\n## Licence\n\nFree.\n"

MALIGNANT = ("mel", "bcc", "akiec")
BENIGN = ("nv", "bkl", "df", "vasc")


class Image(NamedTuple):
    """An image: its score is the probability of its class if malignant, else of ``mel``."""

    image_id: str
    lesion_id: str
    dx: str
    score: float
    part: str = "certify"
    status: str = "ok"
    content: str = ""

    @property
    def sha256(self) -> str:
        return sha256_of_bytes((self.content or self.image_id).encode())


class Place(NamedTuple):
    """The files of a test."""

    engine: Path
    table: Path
    truth: Path


def images_of(
    positive: int = 130, benign: int = 200, seed: int = 0, part: str = "certify"
) -> list[Image]:
    """Draw lesions of one or two images."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(positive + benign):
        classes = MALIGNANT if k < positive else BENIGN
        for copy in range(1 + int(rng.random() < 0.3)):
            score = rng.beta(3, 1) if k < positive else rng.beta(0.5, 5)
            name = f"{part}{k}_{copy}"
            found.append(Image(name, f"L{part}{k}", classes[k % len(classes)], score, part))
    return found


OTHERS = [Image(f"{part}0", f"L{part}0", "nv", 0.1, part) for part in ("train", "val", "test")]


def write_place(root: Path, images: Iterable[Image]) -> Place:
    """Write an engine that was trained with a split table, and its predictions of some images."""
    images = list(images)
    root.mkdir(exist_ok=True)
    place = Place(root / "soft", root / "preds.csv", root / "split.csv")
    write_truth(place.truth, [*images, *OTHERS])
    write_soft_engine(place.engine)
    (place.engine / "card.md").write_text(CARD)
    known = tuple(
        TrainingImage(hashed(one.image_id), hashed(one.lesion_id), one.sha256[:16], part, "", 0)
        for one in OTHERS
        if (part := one.part) in ("train", "val")
    )
    digest = sha256_of_file(place.truth)
    write_training_images(place.engine, TrainingImages(digest, {}, ("ours",), known, ()))
    about = {"split_sha256": digest, "trained_on": ["train"]}
    write_manifest(place.engine, replace(read_manifest(place.engine), data=about))
    write_predictions(place, images)
    return place


def write_truth(path: Path, images: Iterable[Image]) -> Path:
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {"image_id": one.image_id, "lesion_id": one.lesion_id, "dx": one.dx}
        | {"file": f"{one.image_id}.jpg", "sha256": one.sha256, "split": one.part}
        for one in images
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def write_predictions(place: Place, images: Iterable[Image]) -> None:
    """Write the table, and the record of a run of the engine as it is now."""
    rows = []
    for one in images:
        scored = one.status == "ok"
        shares = dict.fromkeys(CLASSES, 0.0)
        shares[one.dx if one.dx in MALIGNANT else "mel"] = one.score
        shares["nv"] += 1 - one.score
        rows.append(
            {"image": f"{one.image_id}.jpg", "status": one.status}
            | {"prediction": "nv" if scored else ""}
            | {f"p_{name}": f"{shares[name]:.6f}" if scored else "" for name in CLASSES}
            | {"sha256": one.sha256}
        )
    pd.DataFrame(rows).to_csv(place.table, index=False)
    record(place.table, place.engine)
    engine = load_engine(place.engine)
    calibration = engine.manifest.calibration
    values: dict[str, Any] = json.loads(record_path(place.table).read_text())
    used = {"name": "soft", "engine_json_sha256": engine.manifest_sha256}
    used["graph_sha256"] = engine.graph_sha256("fp32")
    values["engine"] = values["fingerprint"]["engine"] = used
    applied = {"temperature": calibration.temperature if calibration else None}
    values["calibration"] = values["fingerprint"]["calibration"] = applied
    values["counts"] = {"backends": {"openvino-fp32": len(rows)}}
    write_record(place, values)


def write_record(place: Place, values: dict[str, Any]) -> None:
    record_path(place.table).write_text(json.dumps(values))


def read_record(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(record_path(place.table).read_text())
    return found


def copied(place: Place, root: Path) -> Place:
    """Copy the files, so that a test may change them."""
    found = Place(*(root / path.name for path in place))
    shutil.copytree(place.engine, found.engine)
    for mine, copy in ((place.table, found.table), (place.truth, found.truth)):
        shutil.copy(mine, copy)
    values = read_record(place)
    values["options"]["engine"] = str(found.engine)
    write_record(found, values)
    return found
