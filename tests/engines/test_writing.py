import json

import pytest

from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.errors import EngineError
from tests.engine_json import rewrite


@pytest.fixture
def folder(tmp_path):
    """Write an engine whose graph is a few bytes: nothing here executes it."""
    for name in ("model.onnx", "card.md", "model.weights.h5"):
        (tmp_path / name).write_bytes(f"content of {name}".encode())
    (tmp_path / ".model.onnx.1.tmp").write_bytes(b"left by a killed run")
    manifest = Manifest(
        name="tiny",
        version="1",
        files={},
        variants=(Variant("fp32", "model.onnx", {"images": 64}),),
        training={"hidden_units": 16},
        metrics={"balanced_accuracy": 0.5},
    )
    write_manifest(tmp_path, manifest)
    return tmp_path


def change(folder, **values):
    path = folder / "engine.json"
    rewrite(path, json.loads(path.read_text()) | values)


def test_what_is_written_is_read_back(folder):
    written = read_manifest(folder)
    assert write_manifest(folder, written) == written == load_engine(folder).manifest
    assert set(written.files) == {"model.onnx", "card.md", "model.weights.h5"}
    assert written.files["card.md"].bytes == len("content of card.md")
    assert written.training == {"hidden_units": 16}


@pytest.mark.parametrize("name", ["model.onnx", "card.md", "model.weights.h5"])
def test_a_flipped_bit_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(EngineError, match=f"{name} is not the file"):
        load_engine(folder)


def test_a_missing_file_is_refused(folder):
    (folder / "card.md").unlink()
    with pytest.raises(EngineError, match=r"card\.md is missing"):
        load_engine(folder)


def test_the_keras_weights_may_be_absent(folder):
    (folder / "model.weights.h5").unlink()
    assert load_engine(folder).manifest.files["model.weights.h5"].optional


def test_a_graph_is_written_before_the_manifest(folder):
    manifest = read_manifest(folder)
    (folder / "model.onnx").unlink()
    before = (folder / "engine.json").read_bytes()
    with pytest.raises(EngineError, match=r"model\.onnx is missing"):
        write_manifest(folder, manifest)
    assert (folder / "engine.json").read_bytes() == before


def test_an_engine_of_another_format_is_refused(folder):
    change(folder, format=2)
    with pytest.raises(EngineError, match="its format is 2, this hambatch reads 1"):
        load_engine(folder)


def test_a_temperature_of_the_graph_is_read_over_only_where_it_changes_nothing(folder):
    written = read_manifest(folder)
    change(folder, temperature=1.0)
    assert read_manifest(folder) == written
    change(folder, temperature=1.5)
    with pytest.raises(EngineError, match=r"its temperature is 1\.5, wanted a calibration"):
        load_engine(folder)


def test_other_classes_are_refused(folder):
    change(folder, classes=["bcc", "akiec", "bkl", "df", "mel", "nv", "vasc"])
    with pytest.raises(EngineError, match="its classes are"):
        load_engine(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/card.md", "..", "engine.json"])
def test_a_file_outside_the_folder_is_refused(folder, name):
    files = json.loads((folder / "engine.json").read_text())["files"]
    change(folder, files=files | {name: files["card.md"]})
    with pytest.raises(EngineError, match="not the name of a file in its folder"):
        load_engine(folder)


@pytest.mark.parametrize("place", range(0, 2000, 37))
def test_a_flipped_bit_of_the_manifest_is_refused(folder, place):
    path = folder / "engine.json"
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"engine\.json cannot be (used|read)"):
        read_manifest(folder)


def test_a_manifest_in_another_order_is_the_same(folder):
    path, before = folder / "engine.json", read_manifest(folder)
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=4))
    assert read_manifest(folder) == before


def test_a_manifest_from_before_there_were_seals_is_read(folder):
    path, before = folder / "engine.json", read_manifest(folder)
    whole = json.loads(path.read_text())
    del whole["sha256"]
    path.write_text(json.dumps(whole))
    assert read_manifest(folder) == before


def test_parts_that_no_split_table_has_are_refused(folder):
    change(folder, data={"trained_on": ["urain"]})
    with pytest.raises(EngineError, match=r"trained on \['urain'\], wanted parts of"):
        read_manifest(folder)
