"""What is measured of a new engine is only what it was not trained on."""

import json
import shutil

import pytest

from hambatch.engines.classes import CLASSES
from hambatch.system.files import sha256_of_bytes
from hambatch.training.assembly import calibrated_manifest, measure
from hambatch.training.dataset import read_dataset
from tests.conftest import jpeg_bytes
from tests.engine_json import rewrite
from tests.ham10000.test_table import ROW, write


@pytest.fixture
def dataset(tmp_path):
    rows = []
    for k, side in enumerate(["train", "val", "val", "test", "test", "test"]):
        content = jpeg_bytes(k)
        (tmp_path / f"{k}.jpg").write_bytes(content)
        row = ROW | {"image_id": f"i{k}", "lesion_id": f"L{k}", "dx": CLASSES[k], "split": side}
        rows.append(row | {"file": f"{k}.jpg", "sha256": sha256_of_bytes(content)})
    path = write(tmp_path, *rows)
    (tmp_path / "split.csv.json").write_text(json.dumps({"root": str(tmp_path)}))
    return read_dataset(path)


@pytest.mark.parametrize(
    ("sides", "measured"),
    [(["train"], {"val": 2, "test": 3}), (["train", "val"], {"test": 3})],
)
def test_parts_that_were_trained_on_are_not_measured(
    dataset, tiny_engine, tmp_path, sides, measured
):
    engine = shutil.copytree(tiny_engine, tmp_path / "engine")
    raw = json.loads((engine / "engine.json").read_text())
    raw["data"] = {"trained_on": sides}
    rewrite(engine / "engine.json", raw)
    assert {side: found["n"] for side, found in measure(dataset, engine).items()} == measured


def test_without_unseen_images_no_temperature_is_fitted_and_a_warning_says_so(
    dataset, tiny_engine, tmp_path, caplog
):
    engine = shutil.copytree(tiny_engine, tmp_path / "engine")
    raw = json.loads((engine / "engine.json").read_text())
    raw["data"] = {"trained_on": ["train", "val"]}
    rewrite(engine / "engine.json", raw)
    with caplog.at_level("WARNING"):
        assert calibrated_manifest(dataset, engine).calibration is None
    assert "no temperature is fitted, as val was trained on" in caplog.text
