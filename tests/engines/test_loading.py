"""A folder is written with the hash of every file, and opened only if all of them match."""

from pathlib import Path

import pytest

from hambatch.engines.loading import find_engine, load_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.errors import EngineError

NAMES = ("model.onnx", "card.md", "model.weights.h5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine whose graph is a few bytes: nothing here executes it."""
    for name in NAMES:
        (tmp_path / name).write_bytes(f"content of {name}".encode())
    (tmp_path / ".model.onnx.1.tmp").write_bytes(b"left by a killed run")
    write_manifest(tmp_path, Manifest("tiny", "1", {}, (Variant("fp32", "model.onnx"),)))
    return tmp_path


def test_every_file_of_the_folder_is_named(folder: Path) -> None:
    manifest = load_engine(folder).manifest
    assert set(manifest.files) == set(NAMES)
    assert manifest.files["card.md"].bytes == len("content of card.md")


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(EngineError, match=f"{name} is not the file"):
        load_engine(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "card.md").unlink()
    with pytest.raises(EngineError, match=r"card\.md is missing"):
        load_engine(folder)


def test_the_keras_weights_may_be_absent_and_keep_their_entry(folder: Path) -> None:
    (folder / "model.weights.h5").unlink()
    manifest = load_engine(folder).manifest
    assert manifest.files["model.weights.h5"].optional
    (folder / "card.md").unlink()
    written = write_manifest(folder, manifest).files
    assert set(written) == {"model.onnx", "model.weights.h5"}
    assert written["model.weights.h5"] == manifest.files["model.weights.h5"]


def test_a_graph_is_written_before_the_manifest(folder: Path) -> None:
    manifest = read_manifest(folder)
    (folder / "model.onnx").unlink()
    before = (folder / "engine.json").read_bytes()
    with pytest.raises(EngineError, match=r"model\.onnx is missing"):
        write_manifest(folder, manifest)
    assert (folder / "engine.json").read_bytes() == before


def test_a_mistyped_engine_gets_a_suggestion() -> None:
    with pytest.raises(EngineError, match="Did you mean 'three-sources-resnet50'"):
        find_engine("three-source-resnet50")
