"""`hambatch export --int8`: options, what is written, what is refused, and the graph itself."""

import csv
import json
from dataclasses import fields, replace
from hashlib import sha256

import numpy as np
import onnx
import openvino
import pytest
from click.testing import CliRunner

from hambatch.backends.openvino_graph import check_graph
from hambatch.cli import hambatch
from hambatch.cli.export import ONLY_INT8, export
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import InputSpec, Manifest, Preprocessing, Variant
from hambatch.engines.precision import cheaper_here
from hambatch.errors import EngineError, InputError
from hambatch.ham10000.table import COLUMNS
from hambatch.training.dataset import read_dataset
from hambatch.training.export.int8.convolutions import convolutions, insert
from hambatch.training.export.int8.equalisation import channel_maxima
from hambatch.training.export.int8.export import (
    calibration_images,
    inserted,
    quantise,
    serialized,
    without_costliest,
)
from hambatch.training.export.int8.fitting import Int8Convolution
from hambatch.training.export.int8.layerwise import walk
from hambatch.training.export.int8.running import logits_of
from hambatch.training.export.onnx_graph import Weights
from hambatch.training.options import Int8Options
from tests.conftest import jpeg_bytes
from tests.training.export.int8.residual_graph import OPTIONS, QUANTISED, of_kind, pair_sums

FEW = ["--calibration-images", "8", "--keep-fp32", "1", "--restore-fp32", "1"]


def write_engine(folder, residual):
    folder.mkdir()
    onnx.save(residual, folder / "model.onnx")
    write_manifest(folder, Manifest("residual", "1", {}, (Variant("fp32", "model.onnx"),)))
    return folder


def write_split(folder):
    """Write ten training images and two others, and their table."""
    root = folder / "images"
    root.mkdir()
    rows = []
    for k in range(12):
        content = jpeg_bytes(k)
        (root / f"{k}.jpg").write_bytes(content)
        side = "train" if k < 10 else "val"
        row = {"image_id": str(k), "lesion_id": str(k), "dx": "nv", "file": f"{k}.jpg"}
        digest = sha256(content).hexdigest()
        rows.append(dict.fromkeys(COLUMNS, "x") | row | {"sha256": digest, "split": side})
    with (folder / "split.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    (folder / "split.csv.json").write_text(json.dumps({"root": str(root)}))
    return folder / "split.csv"


@pytest.fixture
def engine(residual, tmp_path):
    return write_engine(tmp_path / "engine", residual)


@pytest.fixture
def split(tmp_path):
    return write_split(tmp_path)


def run(*arguments):
    command = ["export", *map(str, arguments)]
    return CliRunner().invoke(hambatch, command, catch_exceptions=False, standalone_mode=False)


@pytest.fixture(scope="module")
def exported(residual, tmp_path_factory):
    """An engine with its INT8 graph, its split table, and what the command said."""
    place = tmp_path_factory.mktemp("exported")
    engine, split = write_engine(place / "engine", residual), write_split(place)
    return engine, split, run(engine, "--int8", "--data", split, *FEW).stderr


def test_the_engine_gets_a_graph_with_its_hash_parity_and_sentinels(exported):
    engine, split, said = exported
    assert "conv_6 relative error" in said
    assert said.count(" goes back to fp32") == 1
    assert f"Next: hambatch engines verify --gate --data {split} {engine}" in said
    manifest = load_engine(engine).manifest
    variant = manifest.variant("int8")
    assert variant.file == "model.int8.onnx"
    assert variant.gates == ()
    assert variant.parity["images"] == 8
    assert variant.parity["fp32_sha256"] == manifest.files["model.onnx"].sha256
    assert variant.parity["options"]["keep_fp32"] == 1
    recorded = tuple(entry.precision for entry in manifest.sentinels.also)
    assert recorded == cheaper_here(manifest)


def test_a_run_that_died_is_repaired_by_the_same_command_with_the_same_bytes(exported):
    engine, split, _ = exported
    content = (engine / "model.int8.onnx").read_bytes()
    (engine / "model.int8.onnx").write_bytes(b"half")
    run(engine, "--int8", "--data", split, *FEW)
    assert (engine / "model.int8.onnx").read_bytes() == content
    load_engine(engine)


def test_another_seed_chooses_other_images(split):
    how = InputSpec(), Preprocessing()
    first, again, other = (
        calibration_images(read_dataset(split), 8, seed, *how) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


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


def test_every_convolution_but_the_first_is_quantised_and_reported(made, int8_graph):
    assert made[1] == QUANTISED
    dequantised = {n.output[0] for n in of_kind(int8_graph, "DequantizeLinear")}
    for node in of_kind(int8_graph, "Conv"):
        assert dequantised.issuperset(node.input[:2]) == (node.name != "conv_0")


def test_no_two_products_can_leave_16_bits(int8_graph):
    codes = [Weights(int8_graph).read(f"{name}.kernel.codes") for name in QUANTISED]
    for code in codes:
        assert code.dtype == np.int8
        assert 255 * pair_sums(code).max() < 2**15
        assert code.min() >= -127
    # Without the limit they would: the largest codes use the whole range.
    assert max(np.abs(code.astype(int)).max() for code in codes) > 100


def test_the_graph_is_what_its_engine_promises(made):
    manifest = Manifest("residual", "1", files={}, variants=())
    check_graph(openvino.Core().read_model(made[0]), manifest, "model.int8.onnx")


def test_another_seed_gives_another_graph(residual, calibration, made):
    options = replace(OPTIONS, seed=1)
    assert quantise(residual.SerializeToString(), calibration, options, lambda _: None) != made[0]


def test_it_is_nearer_to_fp32_than_rounding_alone(residual, copied, calibration, others, made):
    wanted = logits_of(residual.SerializeToString(), others)
    ours = logits_of(made[0], others) - wanted
    plain = logits_of(rounded(copied, calibration), others) - wanted
    assert np.sqrt((ours**2).mean()) < 0.5 * np.sqrt((plain**2).mean())


def rounded(model, calibration):
    """Round weights and activations to the nearest of codes that are as safe: 7 bits."""
    weights = Weights(model.graph)
    largest = channel_maxima(model, calibration)
    found = {}
    for node in convolutions(model.graph)[1:]:
        kernel, bias = (weights.read(name) for name in node.input[1:])
        scales = np.abs(kernel).max(axis=(1, 2, 3)) / np.float32(64)
        codes = np.rint(kernel / scales[:, None, None, None]).astype(np.int8)
        step = np.float32(largest[node.input[0]].max() / 255)
        taken_out = 128 * step * (codes * scales[:, None, None, None]).sum(axis=(1, 2, 3))
        shifted = (bias + taken_out).astype(np.float32)
        found[node.output[0]] = Int8Convolution(codes, scales, shifted, step, 0.0)
    insert(model.graph, found)
    return serialized(model)


@pytest.fixture(scope="module")
def fitted(residual, calibration):
    return walk(residual.graph, calibration, OPTIONS, lambda _: None)


@pytest.fixture(scope="module")
def without(residual, calibration, fitted):
    return without_costliest(residual, fitted, calibration, 1)


def test_what_goes_back_to_fp32_helps_more_than_any_other_would(
    residual, calibration, fitted, without
):
    before = residual.SerializeToString()
    wanted = logits_of(before, calibration)

    def error_without(name):
        others = {other: done for other, done in fitted.items() if other != name}
        found = logits_of(serialized(inserted(residual, others)), calibration)
        return np.sqrt(((found - wanted) ** 2).mean())

    kept, (restored,) = without
    assert {*kept, restored} == set(fitted)
    assert len(kept) == len(fitted) - 1
    errors = {name: error_without(name) for name in fitted}
    # Ranked with weights in FP32, here as they are stored: near the best, and far from the worst.
    assert errors[restored] <= 1.1 * min(errors.values()) < 0.8 * max(errors.values())
    assert residual.SerializeToString() == before


def test_a_restored_convolution_has_neither_codes_nor_quantised_input(residual, fitted, without):
    kept, (restored,) = without
    graph = onnx.ModelProto.FromString(serialized(inserted(residual, kept))).graph
    makers = {node.output[0]: node for node in graph.node}
    for name in fitted:
        sources = [makers.get(source) for source in makers[name].input[:2]]
        kinds = [source.op_type if source else "" for source in sources]
        assert ("DequantizeLinear" in kinds) == (name != restored)


def test_none_goes_back_if_none_is_to(residual, calibration, fitted):
    assert without_costliest(residual, fitted, calibration, 0) == (fitted, [])
