"""Images of other sources: which are trained on, and which are not and why."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from hambatch.engines.training_images import hashed
from hambatch.errors import InputError
from hambatch.system.files import sha256_of_bytes
from hambatch.training.dataset import Dataset, with_extras
from hambatch.training.extra_options import Extra, ExtraOptions, extra_from
from hambatch.training.extras import ExtraSource, read_extras
from tests.ham10000.images import encoded, picture

PARTS = ("train", "val", "test")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three images of a split table, one of each part."""
    root = tmp_path_factory.mktemp("ham")
    rows = []
    for k, part in enumerate(PARTS):
        content = encoded(picture(k, 600, 450))
        (root / f"i{k}.jpg").write_bytes(content)
        row = {"image_id": f"i{k}", "lesion_id": f"L{k}", "group": f"L{k}", "dx": "nv"}
        sha256 = sha256_of_bytes(content)
        rows.append(row | {"file": f"i{k}.jpg", "sha256": sha256, "split": part})
    return Dataset(pd.DataFrame(rows), root, "0" * 64)


def small(image: Image.Image) -> bytes:
    """Squashed to 84 pixels a side."""
    return encoded(image.resize((84, 84), Image.Resampling.LANCZOS), 75)


IMAGES: dict[str, tuple[bytes, dict[str, str]]] = {
    "mel": (small(picture(10)), {"dx": "mel", "lesion_id": "B1"}),
    "mel_again": (small(picture(11)), {"dx": "mel", "lesion_id": "B1"}),
    "no_lesion": (small(picture(12)), {"dx": "bcc"}),
    "small_test": (small(picture(2, 600, 450)), {"dx": "nv", "lesion_id": "B2"}),
    "of_its_lesion": (small(picture(13)), {"dx": "nv", "lesion_id": "B2"}),
    "bytes_of_val": (encoded(picture(1, 600, 450)), {"dx": "nv"}),
    "i0": (small(picture(14)), {"dx": "nv"}),
    "lesion_of_test": (small(picture(15)), {"dx": "nv", "lesion_id": "L2"}),
    "repeat": (small(picture(10)), {"dx": "mel"}),
    "scc": (small(picture(16)), {"dx": "scc"}),
    "one": (small(picture(17)), {"dx": "nv"}),
    "other": (small(picture(17)), {"dx": "mel"}),
    "held_out": (small(picture(18)), {"dx": "bkl", "split": "external"}),
    "like_held_out": (encoded(picture(18), 60), {"dx": "bkl"}),
    "damaged": (b"no image", {"dx": "nv"}),
    "missing": (b"", {"dx": "nv"}),
}

DROPPED = {
    "small_test": "looks like an image of test",
    "of_its_lesion": "same lesion as an image that was dropped",
    "bytes_of_val": "same bytes as an image of val",
    "i0": "same id as an image of train",
    "lesion_of_test": "same lesion as an image of test",
    "repeat": "same bytes as another image of these sources",
    "scc": "dx is none of the seven classes",
    "one": "same bytes as an image of another dx",
    "other": "same bytes as an image of another dx",
    "held_out": "held out by the column split",
    "like_held_out": "looks like an image that is held out",
    "damaged": "cannot be decoded, so it cannot be compared",
    "missing": "no file",
}


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, columns, restval="")
        table.writeheader()
        table.writerows(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of paths, beside its images."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "images").mkdir()
    rows = []
    for name, (content, about) in IMAGES.items():
        if content:
            (folder / "images" / f"{name}.jpg").write_bytes(content)
        rows.append({"path": f"images/{name}.jpg", **about, "set": "BCN"})
    write_table(folder / "metadata.csv", rows)
    return folder


def options(table: Path, text: str = "#BCN=0.3@84", **more: Any) -> ExtraOptions:
    given: dict[str, Any] = {"extra": (extra_from(f"{table}{text}"),)}
    return ExtraOptions(**given | {"extra_licence": ("BCN=CC BY-NC 4.0",)} | more)


@pytest.fixture(scope="module")
def source(dataset: Dataset, folder: Path) -> ExtraSource:
    (found,) = with_extras(dataset, options(folder / "metadata.csv")).extras
    return found


def test_images_that_meet_none_of_the_split_table_are_trained_on(source: ExtraSource) -> None:
    assert list(source.images["image_id"]) == ["mel", "mel_again", "no_lesion"]
    assert list(source.images["dx"]) == ["mel", "mel", "bcc"]
    assert list(source.images["lesion_id"]) == ["B1", "B1", ""]


@pytest.mark.parametrize("name", DROPPED)
def test_every_other_image_is_dropped_and_named(source: ExtraSource, name: str) -> None:
    assert name in source.dropped[DROPPED[name]]
    assert sum(map(len, source.dropped.values())) == len(DROPPED)


def test_the_record_counts_them_and_names_no_folder(source: ExtraSource, folder: Path) -> None:
    record = source.record()
    assert str(folder) not in json.dumps(record)
    assert (record["source"], record["weight"], record["side"]) == ("BCN", 0.3, 84)
    assert (record["images"], record["lesions"]) == (3, 1)
    assert (record["counts"]["mel"], record["counts"]["bcc"], record["counts"]["nv"]) == (2, 1, 0)
    assert record["licence"] == "CC BY-NC 4.0"
    found = record["dropped"]["same bytes as an image of another dx"]
    assert found == {"images": 2, "named": ["one", "other"]}


def test_their_hashes_are_among_those_of_the_training_images(
    dataset: Dataset, source: ExtraSource
) -> None:
    listed = replace(dataset, extras=(source,)).training_images()
    assert listed.sources == ("HAM10000", "BCN")
    found = {image.image: image for image in listed.images}
    own, others = ["i0", "i1"], ["mel", "mel_again", "no_lesion"]
    # Copies, by their bytes, of a training image and of a validation image.
    copies = ["repeat", "bytes_of_val"]
    assert found.keys() == {hashed(name) for name in (*own, *others, *copies)}
    for name in (*own, *others, *copies):
        assert found[hashed(name)].source == (name not in own)
        assert found[hashed(name)].split == ("val" if name in ("i1", "bytes_of_val") else "train")
    wanted = set(source.images["sha256"].str[:16])
    assert wanted <= {image.content for image in listed.images}
    assert all(image.picture for image in listed.images)


def test_what_was_known_and_not_trained_on_is_listed_with_its_source(
    dataset: Dataset, source: ExtraSource
) -> None:
    listed = replace(dataset, extras=(source,)).training_images()
    found = {image.image: image for image in listed.held_out}
    dropped = DROPPED.keys() - {"repeat", "bytes_of_val"}
    names = {hashed("i2"): 0} | {hashed(name): 1 for name in dropped - {"i0"}}
    assert {name: image.source for name, image in found.items() if name != hashed("i0")} == names
    assert found[hashed("small_test")].lesion == hashed("B2")
    assert found[hashed("missing")].content == ""
    assert found[hashed("i0")].source == 1, "another image than the training image of that id"


def test_images_are_found_by_id_in_other_folders(
    dataset: Dataset, folder: Path, tmp_path: Path
) -> None:
    write_table(tmp_path / "ids.csv", [{"image_id": "mel", "dx": "mel"}])
    given = options(
        tmp_path / "ids.csv",
        "=1",
        extra_licence=("ids=CC0",),
        extra_images=(str(folder / "images"),),
    )
    (tmp_path / "beside.jpg").write_bytes(encoded(picture(30)))
    (found,) = read_extras(given, dataset.table, dataset.root)
    assert list(found.images["file"]) == [str((folder / "images" / "mel.jpg").resolve())]


def test_of_a_split_table_its_training_part_is_taken(
    dataset: Dataset, folder: Path, tmp_path: Path
) -> None:
    rows = [
        {"image_id": name, "dx": "mel", "file": f"images/{name}.jpg", "split": split}
        for name, split in (("mel", "train"), ("no_lesion", "test"))
    ]
    write_table(tmp_path / "other.csv", rows)
    (tmp_path / "other.csv.json").write_text(json.dumps({"root": str(folder)}))
    given = options(tmp_path / "other.csv", "=1", extra_licence=("other=CC0",))
    (found,) = read_extras(given, dataset.table, dataset.root)
    assert list(found.images["image_id"]) == ["mel"]
    assert found.dropped == {"held out by the column split": ["no_lesion"]}


def refused(dataset: Dataset, given: ExtraOptions) -> str:
    with pytest.raises(InputError) as refusal:
        read_extras(given, dataset.table, dataset.root)
    return str(refusal.value)


def test_a_source_without_a_licence_is_refused(dataset: Dataset, folder: Path) -> None:
    said = refused(dataset, options(folder / "metadata.csv", extra_licence=()))
    assert "--extra BCN has no licence" in said
    assert "Next: add --extra-licence 'BCN=TEXT'" in said


def test_a_set_that_the_table_lacks_is_refused_by_name(dataset: Dataset, folder: Path) -> None:
    given = options(folder / "metadata.csv", "#ISIC=1", extra_licence=("ISIC=CC0",))
    assert "found sets BCN; wanted rows of set ISIC" in refused(dataset, given)


def test_a_source_with_nothing_to_train_on_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [{"path": "gone.jpg", "dx": "nv"}])
    said = refused(dataset, options(tmp_path / "t.csv", "=1", extra_licence=("t=CC0",)))
    assert "--extra t: found no image to train on (no file: 1)" in said


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a/b.csv=0.3", Extra("a/b.csv", 0.3)),
        ("a=b.csv=1", Extra("a=b.csv", 1.0)),
        ("b.csv#ISIC 2017=0.7@256", Extra("b.csv", 0.7, "ISIC 2017", 256)),
    ],
)
def test_a_source_is_read_from_its_text(text: str, wanted: Extra) -> None:
    assert extra_from(text) == wanted


@pytest.mark.parametrize("text", ["b.csv", "=1", "b.csv=x", "b.csv=0", "b.csv=nan", "b.csv=1@0"])
def test_a_text_that_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wanted"):
        extra_from(text)
