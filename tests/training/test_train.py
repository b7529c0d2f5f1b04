"""From a split table to an engine that scores, and to a report of folds, on made-up images."""

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from click.testing import CliRunner

from hambatch.backends.keras_network import keras_for
from hambatch.cli.prepare import prepare
from hambatch.cli.train import train
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import (
    FEATURE_STATISTICS,
    IMAGE_CHECKS,
    TRAINING_IMAGES,
    read_manifest,
)
from hambatch.engines.training_images import hashed, read_training_images
from hambatch.errors import InputError
from hambatch.ham10000.metadata import COLUMNS
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_files
from hambatch.sinks.formats import read_rows
from hambatch.training import recipe as training_recipe
from tests.conftest import jpeg_bytes
from tests.training.export.keras_networks import small_base

pytestmark = pytest.mark.slow
SMALL = "--recipe published --images-per-class 4 --views 1 --epochs 2 --hidden-units 16".split()
LESIONS = 5


def write_download(place: Path) -> Path:
    """Make a HAM10000 of 35 images and its split table, ``split.csv``."""
    root = place / "ham"
    root.mkdir()
    with (root / "HAM10000_metadata.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        for k in range(7 * LESIONS):
            (root / f"ISIC_{k:07d}.jpg").write_bytes(jpeg_bytes(k))
            row = dict.fromkeys(COLUMNS, "") | {"dx": CLASSES[k % 7], "image_id": f"ISIC_{k:07d}"}
            table.writerow(row | {"lesion_id": f"HAM_{k:07d}"})
    # Two of five lesions of each class: the export is checked on at least 8 validation images.
    fraction = ["--val-fraction", "0.4"]
    made = CliRunner().invoke(prepare, [str(root), "--out", str(place / "split.csv"), *fraction])
    assert made.exit_code == 0
    return place


def write_weights(base: Any, path: Path, variance: float) -> None:
    """Write those of an untrained base, whose first normalisation divides by its root."""
    # Pixels are up to 150 from their mean; the layers after the first expect values around 1.
    norm = base.get_layer("conv1_bn")
    gamma, beta, mean, ones = norm.get_weights()
    norm.set_weights([gamma, beta, mean, np.full_like(ones, variance)])
    base.save_weights(path)


@contextmanager
def small_bases(weights: Path) -> Iterator[None]:
    """Let training start from the small base of the export's tests, whose weights it writes."""
    # Else drawn anew each time, and of some draws two answers of an image are nearly equal.
    keras_for("this test").utils.set_random_seed(0)
    write_weights(small_base(), weights, 4.0)

    def build_base(weights: str, side: int, stride_in: str) -> Any:
        base = small_base(side)
        base.load_weights(weights)
        return base

    with patch.object(training_recipe, "build_base", build_base):
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[Path]:
    """Make them, and weights of a small base; ``finetuning/test_recipe.py`` has ResNet50."""
    place = write_download(tmp_path_factory.mktemp("train"))
    with small_bases(place / "base.weights.h5"):
        yield place


def run(place: Path, out: str, *more: str):
    arguments = ["--data", str(place / "split.csv"), "--out", str(place / out)]
    arguments += ["--cache", str(place / "cache"), "--weights", str(place / "base.weights.h5")]
    return CliRunner().invoke(train, [*arguments, *SMALL, *more])


@pytest.fixture(scope="module")
def engine(place) -> Path:
    (place / "licence.txt").write_text("Not for commercial use.")
    result = run(place, "mine", "--weights-licence-file", str(place / "licence.txt"))
    assert result.exit_code == 0, result.exception
    assert "balanced accuracy" in result.stdout
    assert re.search(r"device: (cpu|gpu) \(.+\)", result.stderr)
    return place / "mine"


def test_the_engine_is_whole_and_says_what_it_was_made_of(engine, place):
    manifest = load_engine(engine).manifest
    names = {"model.onnx", "model.weights.h5", "card.md", "confusion.png"}
    names |= {f"sentinel_{k}.jpg" for k in range(4)} | {
        TRAINING_IMAGES,
        FEATURE_STATISTICS,
        IMAGE_CHECKS,
    }
    names.add("weights_licence.txt")
    assert set(manifest.files) == names
    assert {path.name for path in engine.iterdir()} == names | {"engine.json"}
    assert manifest.training["hidden_units"] == 16
    assert manifest.training["device"] in {"cpu", "gpu"}
    assert manifest.training["weights"] == "base.weights.h5"
    assert manifest.metrics["test"]["n"] == 7
    assert manifest.metrics["val"]["n"] == 14
    fitted = manifest.calibration
    wanted = fitted.temperature if fitted else None
    assert {side["temperature"] for side in manifest.metrics.values()} == {wanted}
    assert ("## Calibration" in (engine / "card.md").read_text()) is (fitted is not None)
    assert manifest.data["counts"]["mel"]["train"] == {"images": 2, "lesions": 2}


def test_the_licence_of_the_weights_travels_along(engine):
    assert (engine / "weights_licence.txt").read_text() == "Not for commercial use."
    assert "[`weights_licence.txt`](weights_licence.txt)" in (engine / "card.md").read_text()


def test_it_lists_what_it_was_trained_and_validated_on(engine, place):
    listed = read_training_images(engine, load_engine(engine).manifest)
    with (place / "split.csv").open() as stream:
        wanted = {
            (hashed(row["image_id"]), hashed(row["lesion_id"]), row["sha256"][:16], row["split"])
            for row in csv.DictReader(stream)
            if row["split"] != "test"
        }
    assert {image[:4] for image in listed.images} == wanted
    assert all(image.picture for image in listed.images)


def test_no_path_of_this_machine_gets_into_the_engine(engine, place):
    for path in engine.iterdir():
        assert str(place).encode() not in path.read_bytes()


def test_its_figures_are_those_of_scoring_with_it(engine, place):
    with (place / "split.csv").open() as stream:
        test = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    names = [row["file"] for row in test]
    rows = predict_files(place / "ham", names, ScoreOptions(engine=str(engine)))
    hits = [row.prediction == wanted["dx"] for row, wanted in zip(rows, test, strict=True)]
    assert read_manifest(engine).metrics["test"]["accuracy"] == np.mean(hits)


def test_work_files_stay_beside_and_bind_the_name_to_the_run(engine, place):
    assert (place / "mine.work" / "log.csv").read_text().count("\n") == 3
    engine.rename(place / "moved")
    try:
        result = run(place, "mine", "--dropout", "0.25")
    finally:
        (place / "moved").rename(engine)
    assert isinstance(result.exception, InputError)
    assert "dropout was 0.5, is 0.25" in str(result.exception)


def test_folds_give_a_report_and_no_engine(place):
    result = run(place, "cv.json", "--folds", "2")
    assert result.exit_code == 0, result.exception
    report = json.loads((place / "cv.json").read_text())
    assert report["images"] == report["pooled"]["n"] == 35
    assert sum(fold["n"] for fold in report["folds"]) == 35
    assert "published" in result.stdout
    # Every image, by a network that did not see it, in the order and the form of a run's table.
    rows = list(read_rows(place / "cv.json.work" / "out_of_fold.csv", "csv"))
    assert [row.image for row in rows] == [f"ISIC_{k:07d}.jpg" for k in range(35)]
    hits = [row.prediction == CLASSES[k % 7] for k, row in enumerate(rows)]
    assert np.mean(hits) == pytest.approx(report["pooled"]["accuracy"])
