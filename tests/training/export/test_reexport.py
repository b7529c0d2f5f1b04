import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hambatch.backends.keras_network import save_network
from hambatch.cli import hambatch
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.errors import EngineError, InputError
from hambatch.training.export.keras_to_onnx import store_weights_as_fp16
from hambatch.training.export.parity import keras_probabilities

# Keras 3.15 on NumPy 2.4, in ``save_weights``.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.fixture(scope="module")
def engine(network, converted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    save_network(network, folder / "model.weights.h5")
    model = store_weights_as_fp16(converted).SerializeToString(deterministic=True)
    (folder / "model.onnx").write_bytes(model)
    (folder / "card.md").write_text("a model card")
    training = {"hidden_units": 16, "dropout": 0.5}
    variants = (Variant("fp32", "model.onnx"),)
    manifest = Manifest("tiny", "1", {}, variants, training=training, licence="CC BY-NC 4.0")
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="module")
def clear(network, images):
    """Pictures of the images, but for those whose best two classes FP16 weights may turn round."""
    made = [Image.fromarray(pixels).resize((320, 240)) for pixels in images]
    seen = np.stack([np.asarray(picture.resize((224, 224))) for picture in made])
    chances = np.sort(keras_probabilities(network, seen), axis=1)
    return [made[k] for k in np.flatnonzero(chances[:, -1] - chances[:, -2] > 0.006)]


@pytest.fixture
def pictures(clear, tmp_path):
    for index, picture in enumerate(clear):
        picture.save(tmp_path / f"image_{index:02}.jpg")
    return tmp_path


def run(engine, pictures):
    arguments = ["export", str(engine), "--images", str(pictures)]
    return CliRunner().invoke(hambatch, arguments, catch_exceptions=False, standalone_mode=False)


def with_int8(engine):
    """Say that a copy of the FP32 graph is the INT8 graph that was made from it."""
    manifest = read_manifest(engine)
    (engine / "model.int8.onnx").write_bytes((engine / "model.onnx").read_bytes())
    fp32 = next(variant for variant in manifest.variants if variant.precision == "fp32")
    write_manifest(engine, replace(manifest, variants=(fp32, Variant("int8", "model.int8.onnx"))))


def test_the_same_weights_give_the_same_bytes_and_the_rest_of_the_manifest_stays(engine, pictures):
    with_int8(engine)
    before = json.loads((engine / "engine.json").read_text())
    original = (engine / "model.onnx").read_bytes()
    (engine / "model.onnx").write_bytes(b"damaged")
    result = run(engine / "model.weights.h5", pictures)
    assert f"on {len(list(pictures.glob('*.jpg')))} images" in result.stderr
    assert "removed" not in result.stderr
    assert [v.precision for v in read_manifest(engine).variants] == ["fp32", "int8"]
    assert (engine / "model.onnx").read_bytes() == original
    after = json.loads((engine / "engine.json").read_text())
    assert after.pop("variants")[0]["parity"]["fp16_stored"]["label_flips"] == 0
    before.pop("variants")
    names = [picture["file"] for picture in after.pop("sentinels")["pictures"]]
    assert len(names) == 4
    for name in names:
        del after["files"][name]
    before.pop("sentinels")
    assert after.pop("sha256") != before.pop("sha256")
    assert after == before
    load_engine(engine)


def test_the_int8_graph_of_other_weights_does_not_stay(engine, pictures):
    with_int8(engine)
    right = (engine / "model.onnx").read_bytes()
    # As if the weights had been others when both graphs were made.
    (engine / "model.onnx").write_bytes(right + b" ")
    write_manifest(engine, read_manifest(engine))
    told = run(engine, pictures).stderr
    assert "the int8 graph was made from another fp32 graph and is removed" in told
    assert f"hambatch export {engine} --int8" in told
    assert [v.precision for v in load_engine(engine).manifest.variants] == ["fp32"]
    assert not (engine / "model.int8.onnx").exists()


def test_too_few_images_are_refused(engine, tmp_path):
    with pytest.raises(InputError, match="holds 0 JPEG or PNG images, wanted at least 8"):
        run(engine, tmp_path)


def test_a_file_that_is_no_image_is_named(engine, pictures):
    (pictures / "image_00.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match="image_00"):
        run(engine, pictures)


def test_an_altered_file_is_not_given_a_new_hash(engine, pictures):
    (engine / "card.md").write_text("another card")
    try:
        with pytest.raises(EngineError, match=r"card\.md is not the file"):
            run(engine, pictures)
    finally:
        (engine / "card.md").write_text("a model card")
