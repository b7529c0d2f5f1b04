"""The list of training images: verified, without names, and no part of what decides a row."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hambatch.engines.loading import find_engine, load_engine, write_manifest
from hambatch.engines.manifest import TRAINING_IMAGES, Manifest, Variant, read_manifest
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.training_images import (
    HeldOutImage,
    TrainingImage,
    TrainingImages,
    hashed,
    read_training_images,
    write_training_images,
)
from hambatch.errors import EngineError
from hambatch.system.files import sha256_of_file

LISTED = TrainingImages(
    "ab" * 32,
    {"seed": 3, "test_fraction": 0.2},
    ("HAM10000", "clinic"),
    (
        TrainingImage(hashed("a"), hashed("lesion"), "0" * 16, "train", "", 1),
        TrainingImage(hashed("b"), "", "1" * 16, "val", "A" * 83 + "=", 0),
    ),
    (HeldOutImage(hashed("c"), hashed("other"), "2" * 16, 1), HeldOutImage(hashed("d"), "", "", 0)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"a graph")
    write_manifest(tmp_path, Manifest("tiny", "1", {}, (Variant("fp32", "model.onnx"),)))
    return tmp_path


def test_it_is_read_as_it_was_written(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert read_training_images(folder, manifest) is None
    write_training_images(folder, LISTED)
    found = read_training_images(folder, write_manifest(folder, manifest))
    assert found is not None
    assert set(found.images) == set(LISTED.images)
    assert set(found.held_out) == set(LISTED.held_out)
    assert replace(found, images=(), held_out=()) == replace(LISTED, images=(), held_out=())


def test_a_list_of_format_1_is_of_the_source_of_the_split_table(folder: Path) -> None:
    """As an earlier version wrote it: five values an image, no sources, nothing held out."""
    row = [hashed("a"), hashed("lesion"), "0" * 16, "train", ""]
    values = {"format": 1, "split_sha256": "ab" * 32, "prepared_with": {"seed": 3}}
    (folder / TRAINING_IMAGES).write_text(json.dumps(values | {"images": [row]}))
    manifest = replace(read_manifest(folder), data={"name": "HAM10000"})
    found = read_training_images(folder, write_manifest(folder, manifest))
    assert found is not None
    assert (found.format, found.sources, found.held_out) == (1, ("HAM10000",), ())
    assert found.images == (TrainingImage(hashed("a"), hashed("lesion"), "0" * 16, "train", "", 0),)


def test_an_engine_that_gets_one_is_the_same_engine(folder: Path) -> None:
    before = load_engine(folder)
    assert before.manifest_sha256 == sha256_of_file(folder / "engine.json")
    write_training_images(folder, LISTED)
    write_manifest(folder, before.manifest)
    assert load_engine(folder).manifest_sha256 == before.manifest_sha256


def test_the_default_engine_lists_the_images_of_all_its_sources() -> None:
    engine = load_engine(find_engine(DEFAULT_ENGINE))
    listed = read_training_images(engine.folder, engine.manifest)
    assert listed is not None
    assert listed.split_sha256 == engine.manifest.data["split_sha256"]
    counts = engine.manifest.data["counts"].values()
    for side in engine.manifest.trained_on:
        wanted = sum(by_side[side]["images"] for by_side in counts)
        of_table = [image for image in listed.images if image.source == 0]
        assert sum(image.split == side for image in of_table) == wanted
    assert all(image.picture for image in listed.images)
    assert listed.sources == ("HAM10000", "ISIC 2017", "BCN20000 (ISIC 2019)")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"train"', '"test"'),
        ('"0000000000000000"', '"zz"'),
        ('"2222222222222222"', '"zz"'),
        ('"format": 2', '"format": 3'),
        ('"format": 2', '"format": 1'),
        ('"train","",1]', '"train",""]'),
        ('"2222222222222222",1]', '"2222222222222222",2]'),
        ('"clinic"', '"HAM10000"'),
        ('["HAM10000", "clinic"]', "[]"),
        ('"sources"', '"source"'),
        ('"held_out"', '"others"'),
    ],
)
def test_a_list_that_is_none_is_refused(folder: Path, before: str, after: str) -> None:
    write_training_images(folder, LISTED)
    path = folder / TRAINING_IMAGES
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    manifest = write_manifest(folder, read_manifest(folder))
    with pytest.raises(EngineError, match="wanted a list of training images"):
        read_training_images(folder, manifest)


def test_one_that_changed_or_is_gone_does_not_switch_the_check_off(folder: Path) -> None:
    write_training_images(folder, LISTED)
    manifest, path = write_manifest(folder, read_manifest(folder)), folder / TRAINING_IMAGES
    path.write_text(path.read_text().replace(hashed("a"), hashed("c")))
    with pytest.raises(EngineError, match="is not the file that the engine was made with"):
        read_training_images(folder, manifest)
    path.unlink()
    with pytest.raises(EngineError, match="is missing"):
        load_engine(folder)


def test_an_id_has_one_hash_however_its_letters_are_composed() -> None:
    assert hashed("caf\u00e9") == hashed("cafe\u0301") != hashed("cafe")
    assert hashed("") == ""


def test_an_entry_that_is_removed_is_noticed(folder: Path) -> None:
    write_training_images(folder, LISTED)
    write_manifest(folder, read_manifest(folder))
    path = folder / "engine.json"
    values = json.loads(path.read_text())
    del values["files"][TRAINING_IMAGES]
    path.write_text(json.dumps(values))
    with pytest.raises(EngineError, match="was changed after it was written"):
        load_engine(folder)


def test_the_list_of_another_engine_is_refused(folder: Path) -> None:
    write_training_images(folder, LISTED)
    manifest = read_manifest(folder)
    manifest = write_manifest(folder, replace(manifest, data={"split_sha256": "0" * 64}))
    with pytest.raises(EngineError, match=r"it is of split table .*, the engine of 0000"):
        read_training_images(folder, manifest)
