"""`hambatch export`: the graph is written once it computes what Keras computes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper
from PIL import Image

from hambatch.backends.keras_network import keras_for, save_network
from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.cli import hambatch
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import InputSpec, Manifest, Variant, read_manifest
from hambatch.engines.probabilities import compare
from hambatch.errors import EngineError, InputError
from hambatch.training.export import export as module
from hambatch.training.export.export import (
    FP16_STORED_LIMIT,
    FP32_LIMIT,
    export_graph,
    keras_probabilities,
    reexport,
    refuse_beyond,
)
from hambatch.training.export.keras_to_onnx import to_onnx
from hambatch.training.export.onnx_graph import store_weights_as_fp16
from tests.engines.int8_engine import gate_of, put_gate
from tests.training.export.conftest import HIDDEN_UNITS
from tests.training.export.keras_networks import small_base, varied


@pytest.fixture
def prepared(model: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``export_graph`` uses the model that is already converted."""
    monkeypatch.setattr(module, "to_onnx", lambda network: model)
    return model


def test_both_parity_results_are_recorded(network: Any, images: np.ndarray, tmp_path: Path) -> None:
    variant = export_graph(network, tmp_path, images)
    assert (variant.precision, variant.file) == ("fp32", "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    fp32, stored = variant.parity["fp32"], variant.parity["fp16_stored"]
    assert variant.parity["images"] == 16
    assert fp32["max_difference"] < stored["max_difference"]
    assert {"keras", "openvino"} <= variant.parity["versions"].keys()
    content = (tmp_path / "model.onnx").read_bytes()
    again = compare(keras_probabilities(network, images), openvino_probabilities(content, images))
    assert again["max_difference"] == pytest.approx(stored["max_difference"], abs=1e-6)


def test_a_graph_with_an_altered_weight_is_refused_and_the_old_one_stays(
    prepared: Any, network: Any, images: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"old")
    (kernel,) = (t for t in prepared.graph.initializer if list(t.dims) == [64, 3, 7, 7])
    values = numpy_helper.to_array(kernel) * np.float32(1.05)
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
    with pytest.raises(EngineError, match=r"FP32 graph does not compute what Keras computes"):
        export_graph(network, tmp_path, images)
    assert (tmp_path / "model.onnx").read_bytes() == b"old"


@pytest.mark.usefixtures("prepared")
def test_too_few_images_to_compare_on_are_refused(
    network: Any, images: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match="7 given, wanted at least 8"):
        export_graph(network, tmp_path, images[:7])


def table(difference: float) -> tuple[np.ndarray, np.ndarray]:
    """Two tables of probabilities, apart by ``difference``, labels the same."""
    expected = np.tile([0.5, 0.3, 0.1, 0.1, 0.0, 0.0, 0.0], (8, 1))
    found = expected.copy()
    found[3, :2] += [difference, -difference]
    return expected, found


def test_a_changed_label_is_refused_however_small_the_difference() -> None:
    expected = np.full((8, 7), 1 / 7)
    expected[:, 0] += 1e-6
    found = expected.copy()
    found[2, 1] += 2e-6
    measured = compare(expected, found)
    assert measured["label_flips"] == 1
    with pytest.raises(EngineError, match="1 labels change"):
        refuse_beyond(FP16_STORED_LIMIT, measured, "FP16-stored")


@pytest.mark.parametrize("limit", [FP32_LIMIT, FP16_STORED_LIMIT])
def test_the_limit_is_where_it_is_said_to_be(limit: float) -> None:
    refuse_beyond(limit, compare(*table(0.9 * limit)), "FP32")
    with pytest.raises(EngineError, match="probabilities differ by up to"):
        refuse_beyond(limit, compare(*table(1.1 * limit)), "FP32")


def test_not_a_number_is_refused() -> None:
    with pytest.raises(EngineError):
        refuse_beyond(FP32_LIMIT, compare(*table(np.nan)), "FP32")


def write_engine(folder: Path, network: Any, converted: Any, side: int) -> Path:
    save_network(network, folder / "model.weights.h5")
    model = store_weights_as_fp16(converted).SerializeToString(deterministic=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "card.md").write_text("a model card")
    training = {"hidden_units": HIDDEN_UNITS, "dropout": 0.5}
    manifest = Manifest(
        "tiny",
        "1",
        files={},
        variants=(Variant("fp32", "model.onnx"),),
        input=InputSpec(height=side, width=side),
        training=training,
        licence="CC BY-NC 4.0",
    )
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="module")
def engine(network: Any, converted: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_engine(tmp_path_factory.mktemp("engine"), network, converted, 224)


def clear_to(network: Any, images: np.ndarray, side: int) -> list[Image.Image]:
    """The images, but for those whose best two classes FP16 weights may turn round."""
    made = [Image.fromarray(pixels).resize((320, 240)) for pixels in images]
    seen = np.stack([np.asarray(image.resize((side, side))) for image in made])
    chances = np.sort(keras_probabilities(network, seen), axis=1)
    return [made[k] for k in np.flatnonzero(chances[:, -1] - chances[:, -2] > 0.006)]


@pytest.fixture(scope="module")
def clear(network: Any, images: np.ndarray) -> list[Image.Image]:
    return clear_to(network, images, 224)


@pytest.fixture
def folder(clear: list[Image.Image], tmp_path: Path) -> Path:
    return write_images(clear, tmp_path)


def write_images(clear: list[Image.Image], folder: Path) -> Path:
    for index, image in enumerate(clear):
        image.save(folder / f"image_{index:02}.jpg")
    return folder


def run(engine: Path, folder: Path) -> Result:
    arguments = ["export", str(engine), "--images", str(folder)]
    return CliRunner().invoke(hambatch, arguments, catch_exceptions=False, standalone_mode=False)


def with_int8(engine: Path) -> None:
    """Say that a copy of the FP32 graph is the INT8 graph that was made from it."""
    manifest = read_manifest(engine)
    (engine / "model.int8.onnx").write_bytes((engine / "model.onnx").read_bytes())
    fp32 = next(variant for variant in manifest.variants if variant.precision == "fp32")
    write_manifest(engine, replace(manifest, variants=(fp32, Variant("int8", "model.int8.onnx"))))


def test_the_same_weights_give_the_same_bytes_and_the_rest_of_the_manifest_stays(
    engine: Path, folder: Path, bases_built: list[tuple[int, str]]
) -> None:
    with_int8(engine)
    put_gate(engine, gate_of(read_manifest(engine), "x86_64 avx512_bf16", 4, "bf16"))
    before = json.loads((engine / "engine.json").read_text())
    original = (engine / "model.onnx").read_bytes()
    (engine / "model.onnx").write_bytes(b"damaged")
    result = run(engine / "model.weights.h5", folder)
    assert bases_built == [(224, "1x1")]
    assert f"on {len(list(folder.glob('*.jpg')))} images" in result.stderr
    assert "removed" not in result.stderr
    assert [v.precision for v in read_manifest(engine).variants] == ["fp32", "int8"]
    assert (engine / "model.onnx").read_bytes() == original
    after = json.loads((engine / "engine.json").read_text())
    fp32 = after.pop("variants")[0]
    assert fp32["parity"]["fp16_stored"]["label_flips"] == 0
    # It is of the graph, which is the same.
    assert fp32["gates"] == before.pop("variants")[0]["gates"] != []
    names = [sentinel["file"] for sentinel in after.pop("sentinels")["pictures"]]
    assert len(names) == 4
    for name in names:
        del after["files"][name]
    before.pop("sentinels")
    assert after.pop("sha256") != before.pop("sha256")
    assert after == before
    load_engine(engine)


def test_an_engine_of_another_side_and_architecture_is_exported_as_such(
    images: np.ndarray, bases_built: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    keras_for("this test").utils.set_random_seed(0)
    network = varied(small_base(96), images[:, ::2, ::2][:, :96, :96], HIDDEN_UNITS)
    engine = write_engine(tmp_path_factory.mktemp("side_96"), network, to_onnx(network), 96)
    folder = write_images(clear_to(network, images, 96), tmp_path_factory.mktemp("images"))
    graph = (engine / "model.onnx").read_bytes()
    # The same weights, in a network of the side and the strides that engine.json names.
    manifest = read_manifest(engine)
    training = manifest.training | {"stride_in": "3x3"}
    write_manifest(engine, replace(manifest, training=training))
    assert reexport(str(engine), folder).removed == ()
    assert bases_built == [(96, "3x3")]
    assert (engine / "model.onnx").read_bytes() == graph


def test_the_int8_graph_of_other_weights_does_not_stay(
    engine: Path, folder: Path, bases_built: list[tuple[int, str]]
) -> None:
    with_int8(engine)
    put_gate(engine, gate_of(read_manifest(engine), "x86_64 avx512_bf16", 4, "bf16"))
    right = (engine / "model.onnx").read_bytes()
    # As if the weights had been others when both graphs were made.
    (engine / "model.onnx").write_bytes(right + b" ")
    write_manifest(engine, read_manifest(engine))
    said = run(engine, folder).stderr
    assert bases_built == [(224, "1x1")]
    assert "the int8 graph was made from another fp32 graph and is removed" in said
    assert f"hambatch export {engine} --int8" in said
    (fp32,) = load_engine(engine).manifest.variants
    assert (fp32.precision, fp32.gates) == ("fp32", ())
    assert not (engine / "model.int8.onnx").exists()


def test_too_few_images_are_refused(engine: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 0 JPEG or PNG images, wanted at least 8"):
        run(engine, tmp_path)


def test_a_file_that_is_no_image_is_named(engine: Path, folder: Path) -> None:
    (folder / "image_00.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match="image_00"):
        run(engine, folder)


@pytest.fixture
def restored(engine: Path) -> Iterator[Path]:
    """The engine, put back as it was."""
    contents = {name: (engine / name).read_bytes() for name in ("card.md", "engine.json")}
    yield engine
    for name, content in contents.items():
        (engine / name).write_bytes(content)


def test_an_altered_file_is_not_given_a_new_hash(restored: Path, folder: Path) -> None:
    (restored / "card.md").write_text("another card")
    with pytest.raises(EngineError, match=r"card\.md is not the file"):
        run(restored, folder)


@pytest.mark.parametrize(
    ("training", "says"),
    [
        ({"dropout": 0.5}, "hidden_units"),
        ({"hidden_units": "64", "dropout": 0.5}, "hidden_units"),
        ({"hidden_units": 64, "dropout": 0.5, "stride_in": "5x5"}, "stride_in"),
    ],
)
def test_a_manifest_that_does_not_describe_the_network_is_refused(
    restored: Path, folder: Path, training: dict[str, Any], says: str
) -> None:
    write_manifest(restored, replace(read_manifest(restored), training=training))
    with pytest.raises(EngineError, match=rf"what network it is: .*{says}(.|\n)*Next: "):
        run(restored, folder)
