"""`explain` shows the scores of the table, and says where the graph of its maps gives others.

Row 15 of the list of wrong figures: FP32's 0.739 where the table has INT8's 0.670.
"""

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes
from tests.engine_json import rewrite
from tests.explanation.made_engine import make_engine

CLASSES = "akiec bcc bkl df mel nv vasc".split()


_ON = {"source": "out of fold", "split_sha256": "5", "parts": ["val"], "images": 9, "lesions": 9}
_CHANGE = {"before": 0.5, "before_interval": [0, 1], "after": 0.5, "after_interval": [0, 1]}

CALIBRATION = {
    "temperature": 2.0,
    "fitted_on": {**_ON, "precision": "", "predictions_sha256": "6"},
    "log_loss": _CHANGE,
    "ece": _CHANGE,
}


def invoke(*arguments: object) -> Result:
    done = CliRunner().invoke(hambatch, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done


def add_int8(engine: Path) -> None:
    """Add a graph that gives every class other scores, and mixes two of them up."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(engine / "model.onnx")
    weights = next(one for one in model.graph.initializer if one.dims == [24, 7])
    values = numpy_helper.to_array(weights)[:, [0, 1, 2, 3, 5, 4, 6]] * 0.8
    weights.CopyFrom(numpy_helper.from_array(values.astype(weights_type(weights)), weights.name))
    onnx.save(model, engine / "model.int8.onnx")
    content = (engine / "model.int8.onnx").read_bytes()
    path = engine / "engine.json"
    raw = json.loads(path.read_text())
    file = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    raw["files"]["model.int8.onnx"] = {**raw["files"]["model.onnx"], **file}
    raw["variants"].append({**raw["variants"][0], "precision": "int8", "file": "model.int8.onnx"})
    raw["calibration"] = CALIBRATION
    rewrite(path, raw)


def weights_type(weights: Any) -> Any:
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(weights.data_type)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, their table in INT8, and explanations of all of them."""
    place = tmp_path_factory.mktemp("explained")
    (place / "images").mkdir()
    for k in (0, 2, 6):
        (place / "images" / f"i{k}.jpg").write_bytes(jpeg_bytes(k))
    engine = make_engine(place / "headed")
    add_int8(engine)
    how = ["--engine", engine, "--device", "cpu"]
    table = place / "preds.csv"
    invoke("score", place / "images", *how, "--precision", "int8", "--force", "--out", table)
    (place / "said.txt").write_text(
        invoke("explain", "--from", table, "--out", place / "out").stderr
    )
    return place


def explained(out: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((out / "explain.json").read_text())
    return {one["image"]: one for one in document["images"]}


def rows_of(table: Path) -> dict[str, dict[str, str]]:
    return {row["image"]: row for row in csv.DictReader(table.read_text().splitlines())}


def assert_of_the_table(out: Path, table: Path) -> None:
    rows = rows_of(table)
    for image, one in explained(out).items():
        wanted = [float(rows[image][f"p_{name}"]) for name in CLASSES]
        np.testing.assert_allclose([one["probabilities"][name] for name in CLASSES], wanted)
        assert one["prediction"] == rows[image]["prediction"]
        assert one["picture_of"] == one["prediction"]


def test_the_scores_are_those_of_the_table(place: Path) -> None:
    assert_of_the_table(place / "out", place / "preds.csv")
    for one in explained(place / "out").values():
        assert (one["backend"], one["of_map"]["backend"]) == ("openvino-int8", "openvino-fp32")
        assert one["probabilities"] != one["of_map"]["probabilities"]


def test_another_label_is_a_warning_in_the_terminal_and_on_the_picture(place: Path) -> None:
    said = (place / "said.txt").read_text()
    assert "scores are the table's (openvino-int8), maps of openvino-fp32" in said
    found = explained(place / "out").values()
    others = [one for one in found if one["prediction"] != one["of_map"]["prediction"]]
    assert 0 < len(others) < len(found), "images of either kind"
    assert f"predicts another class for {len(others)} of 3 images" in said
    for one in found:
        with Image.open(place / "out" / one["picture"]) as picture:
            about = picture.text["Description"]
        p = max(one["probabilities"].values())
        assert f"predicted {one['prediction']} {p:.3f} (openvino-int8)" in about
        assert ("WARNING: the map is of openvino-fp32, which predicts" in about) == (one in others)
        of_map = one["of_map"]["probabilities"][one["picture_of"]]
        assert f"the map is of openvino-fp32, p = {of_map:.3f}" in about


def test_with_another_engine_they_are_still_the_table_s(place: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(place / "headed", tmp_path / "other"))
    # Its FP32 graph is what is INT8's in the engine of the table.
    shutil.copy(other / "model.int8.onnx", other / "model.onnx")
    raw = json.loads((other / "engine.json").read_text())
    raw["files"]["model.onnx"] = raw["files"]["model.int8.onnx"]
    rewrite(other / "engine.json", raw)
    table = place / "fp32.csv"
    invoke(
        "score", place / "images", "--engine", place / "headed", "--device", "cpu", "--out", table
    )
    how = ["--engine", other, "--top", "1", "--out", tmp_path / "out"]
    said = invoke("explain", "--from", table, *how).stderr
    assert "the table was scored with another engine" in said
    assert_of_the_table(tmp_path / "out", table)


def test_without_calibration_neither_the_table_nor_the_map_has_it(
    place: Path, tmp_path: Path
) -> None:
    table = tmp_path / "plain.csv"
    how = ["--engine", place / "headed", "--device", "cpu", "--no-calibration"]
    invoke("score", place / "images", *how, "--out", table)
    invoke("explain", "--from", table, "--top", "1", "--out", tmp_path / "out")
    assert_of_the_table(tmp_path / "out", table)
    for one in explained(tmp_path / "out").values():
        of_map = one["of_map"]["probabilities"]
        assert of_map == pytest.approx(one["probabilities"], abs=1e-5)
