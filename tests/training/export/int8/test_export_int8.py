"""`hambatch export --int8`: options, what is written, what is refused."""

import csv
import json
from dataclasses import fields
from hashlib import sha256

import onnx
import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.cli.export import ONLY_INT8, export
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant
from hambatch.errors import EngineError, InputError
from hambatch.ham10000.table import COLUMNS
from hambatch.training.options import Int8Options
from tests.conftest import jpeg_bytes

FEW = ["--calibration-images", "8", "--keep-fp32", "1", "--restore-fp32", "1"]


@pytest.fixture
def engine(residual, tmp_path):
    folder = tmp_path / "engine"
    folder.mkdir()
    onnx.save(residual, folder / "model.onnx")
    write_manifest(folder, Manifest("residual", "1", {}, (Variant("fp32", "model.onnx"),)))
    return folder


@pytest.fixture
def split(tmp_path):
    """Ten training images and two others."""
    root = tmp_path / "images"
    root.mkdir()
    rows = []
    for k in range(12):
        content = jpeg_bytes(k)
        (root / f"{k}.jpg").write_bytes(content)
        side = "train" if k < 10 else "val"
        row = {"image_id": str(k), "lesion_id": str(k), "dx": "nv", "file": f"{k}.jpg"}
        digest = sha256(content).hexdigest()
        rows.append(dict.fromkeys(COLUMNS, "x") | row | {"sha256": digest, "split": side})
    with (tmp_path / "split.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    (tmp_path / "split.csv.json").write_text(json.dumps({"root": str(root)}))
    return tmp_path / "split.csv"


def run(*arguments):
    command = ["export", *map(str, arguments)]
    return CliRunner().invoke(hambatch, command, catch_exceptions=False, standalone_mode=False)


def test_the_engine_gets_a_graph_with_its_hash_parity_and_known_pictures(engine, split):
    result = run(engine, "--int8", "--data", split, *FEW)
    assert "conv_6 relative error" in result.stderr
    assert result.stderr.count(" goes back to fp32") == 1
    assert f"Next: hambatch engines verify --gate --data {split} {engine}" in result.stderr
    manifest = load_engine(engine).manifest
    variant = manifest.variant("int8")
    assert variant.file == "model.int8.onnx"
    assert variant.gates == ()
    assert variant.parity["images"] == 8
    assert variant.parity["fp32_sha256"] == manifest.files["model.onnx"].sha256
    assert variant.parity["options"]["keep_fp32"] == 1
    assert [entry.precision for entry in manifest.sentinels.also] == ["int8"]


def test_the_same_seed_gives_the_same_file_and_another_one_does_not(engine, split):
    found = []
    for seed in (0, 0, 1):
        run(engine, "--int8", "--data", split, *FEW, "--seed", seed)
        found.append((engine / "model.int8.onnx").read_bytes())
        # What a run that died left behind is repaired by the same command.
        (engine / "model.int8.onnx").write_bytes(b"half")
    assert found[0] == found[1] != found[2]


def test_an_altered_image_is_refused_and_nothing_is_written(engine, split):
    for path in (split.parent / "images").glob("*.jpg"):
        path.write_bytes(jpeg_bytes(77))
    before = (engine / "engine.json").read_bytes()
    with pytest.raises(InputError, match=r"is not the file that was split.*\nNext: "):
        run(engine, "--int8", "--data", split, *FEW)
    assert (engine / "engine.json").read_bytes() == before
    assert not (engine / "model.int8.onnx").exists()


def test_too_few_training_images_are_refused_with_the_number_there_is(engine, split):
    with pytest.raises(InputError, match="has 10 training images, wanted 2000"):
        run(engine, "--int8", "--data", split)


def test_an_altered_fp32_graph_is_refused(engine, split):
    (engine / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(EngineError, match=r"model\.onnx is not the file"):
        run(engine, "--int8", "--data", split, *FEW)


def test_a_missing_fp32_graph_is_refused(engine, split):
    (engine / "model.onnx").unlink()
    with pytest.raises(EngineError, match=r"model\.onnx is missing.*\nNext: "):
        run(engine, "--int8", "--data", split, *FEW)


def test_an_int8_graph_without_int8_is_refused(engine, split):
    with pytest.raises(EngineError, match="has 7 convolutions, wanted more than the 13"):
        run(engine, "--int8", "--data", split, *FEW[:2])
    assert not (engine / "model.int8.onnx").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--int8"],
        ["--images", ".", "--data", "split.csv"],
        ["--int8", "--data", "split.csv", "--images", "."],
        ["--images", ".", "--seed", "1"],
        ["--int8", "--data", "split.csv", "--keep-fp32", "0"],
    ],
)
def test_options_that_do_not_go_together_are_usage_errors(engine, arguments):
    result = CliRunner().invoke(export, [str(engine), *arguments])
    assert result.exit_code == 2
    assert "Error: " in result.output


def test_every_option_is_a_field_with_its_default():
    options = {option.name: option.default for option in export.params}
    defaults = {field.name: field.default for field in fields(Int8Options)}
    for name in ONLY_INT8 - {"data"}:
        assert options[name] == defaults[name]
