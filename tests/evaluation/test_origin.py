"""Figures say whether the images are of a source that the engine was trained on."""

import json

import numpy as np
import pandas as pd
import pytest

from hambatch.engines.loading import find_engine
from hambatch.engines.manifest import TRAINING_IMAGES, read_manifest
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.training_images import (
    hashed,
    read_training_images,
    write_training_images,
)
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.join import join_scored
from hambatch.evaluation.leak_check import check_training
from hambatch.evaluation.options import LeakOptions
from hambatch.evaluation.origin import EXTERNAL, HELD_OUT, INTERNAL, MIXED, UNKNOWN
from hambatch.evaluation.out_of_fold import write_out_of_fold
from hambatch.evaluation.report import format_report, origin
from hambatch.evaluation.tables import read_predictions
from hambatch.evaluation.truth import read_truth
from hambatch.ham10000.image_ids import FIRST, LAST, is_of_ham10000
from hambatch.ham10000.leaks import KNOWN_PAIRS
from hambatch.ham10000.table import read_split
from hambatch.ham10000.training_images import training_images_of
from hambatch.system.files import sha256_of_file
from tests.engine_json import rewrite
from tests.evaluation.tables import digest, predictions, record, truth

OTHERS = [
    {"image_id": "x1", "lesion_id": "X1", "split": "train", "source": "clinic"},
    {"image_id": "x2", "lesion_id": "X2", "split": "", "source": "clinic"},
    {"image_id": "y1", "lesion_id": "", "split": "", "source": "archive"},
]
"""Rows of two other sources; their bytes are digest(200), digest(201) and digest(202)."""


def give_list(engine, listed, *extra):
    """Leave a list of training images in an engine's folder, and name it in engine.json."""
    write_training_images(engine, listed)
    path = engine / TRAINING_IMAGES
    raw = json.loads((engine / "engine.json").read_text())
    entry = {"sha256": sha256_of_file(path), "bytes": path.stat().st_size, "optional": False}
    raw["files"][TRAINING_IMAGES] = entry
    raw["data"] |= {"name": "ours", "trained_on": ["train"]}
    raw["data"] |= {"extra": [{"source": name} for name in extra]} if extra else {}
    rewrite(engine / "engine.json", raw)


@pytest.fixture
def of_three(tmp_path, data, engine):
    """The engine was trained with the split table, which is `ours`, and with two other sources."""
    rows = [row | {"sha256": digest(200 + k), "file": ""} for k, row in enumerate(OTHERS)]
    table = pd.concat([read_split(data), pd.DataFrame(rows)], ignore_index=True)
    listed = training_images_of(table, tmp_path, sha256_of_file(data), {}, "ours")
    give_list(engine, listed, "clinic", "archive")
    return engine


def of_format_1(engine):
    """Write the list again as it was before sources and held-out images were listed."""
    path = engine / TRAINING_IMAGES
    values = json.loads(path.read_text()) | {"format": 1}
    del values["sources"], values["held_out"]
    values["images"] = [image[:5] for image in values["images"]]
    path.write_text(json.dumps(values))
    raw = json.loads((engine / "engine.json").read_text())
    raw["files"][TRAINING_IMAGES] |= {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}
    rewrite(engine / "engine.json", raw)


def found_for(tmp_path, engine, images, lesions=None, hashes=None, labels=None, **options):
    """Say where images come from that an engine scored."""
    table = record(predictions(tmp_path / "p.csv", images, hashes), engine)
    lesions = lesions or [f"own {image}" for image in images]
    labels = labels or truth(tmp_path / "t.csv", images, lesions)
    joined = join_scored(read_truth(labels), read_predictions(table), table)
    return check_training(joined, table, labels, LeakOptions(**options)).origin


@pytest.mark.parametrize(
    ("images", "kind", "counts", "others"),
    [
        (["a", "b"], EXTERNAL, {}, 2),
        (["i8", "i11"], INTERNAL, {"ours": 2}, 0),
        (["x2"], HELD_OUT, {"clinic": 1}, 0),
        (["x2", "y1"], HELD_OUT, {"clinic": 1, "archive": 1}, 0),
        (["i8", "x2"], MIXED, {"ours": 1, "clinic": 1}, 0),
        (["i8", "a", "b"], MIXED, {"ours": 1}, 2),
    ],
)
def test_images_are_told_by_what_the_training_knew(
    tmp_path, of_three, images, kind, counts, others
):
    found = found_for(tmp_path, of_three, images)
    assert (found["kind"], found["images"], found["others"]) == (kind, counts, others)
    assert found["trained_on"] == ["ours", "clinic", "archive"]


def test_an_image_is_known_by_its_lesion_or_its_bytes_under_another_name(tmp_path, of_three):
    found = found_for(tmp_path, of_three, ["new", "n2"], ["X2", "own"], [digest(99), digest(202)])
    assert (found["kind"], found["images"]) == (HELD_OUT, {"clinic": 1, "archive": 1})


@pytest.mark.parametrize("name", ["X2", "x2_downsampled", "x2.jpg"])
def test_an_id_that_is_written_in_another_way_is_not_external(tmp_path, of_three, name):
    assert found_for(tmp_path, of_three, [name])["images"] == {"clinic": 1}


def test_a_copy_in_another_source_is_known_by_its_bytes(tmp_path, data, engine):
    copy = {"image_id": "i8", "lesion_id": "", "split": "", "source": "clinic", "file": ""}
    table = pd.concat([read_split(data), pd.DataFrame([copy | {"sha256": digest(200)}])])
    listed = training_images_of(table, tmp_path, sha256_of_file(data), {}, "ours")
    give_list(engine, listed, "clinic")
    for more in ({}, {"data": data}):
        found = found_for(tmp_path, engine, ["new"], None, [digest(200)], **more)
        assert found["images"] == {"clinic": 1}


def test_the_split_table_and_the_list_together_know_all_sources(tmp_path, data, of_three):
    found = found_for(tmp_path, of_three, ["i8", "x2", "a"], data=data)
    assert (found["images"], found["others"]) == ({"ours": 1, "clinic": 1}, 1)


def test_images_that_are_left_out_do_not_count(tmp_path, of_three):
    found = found_for(tmp_path, of_three, ["x1", "i0", "a"], exclude_trained=True)
    assert (found["kind"], found["others"]) == (EXTERNAL, 1)


def test_a_list_of_format_1_does_not_call_held_out_images_external(tmp_path, data, engine):
    give_list(engine, training_images_of(read_split(data), tmp_path, sha256_of_file(data), {}))
    of_format_1(engine)
    # `i8` is held out, of the same clinic: nothing tells it from an image of another clinic.
    found = found_for(tmp_path, engine, ["i8", "a"])
    assert (found["kind"], found["others"]) == (UNKNOWN, 2)
    assert "does not list the images of its sources that it was not trained on" in found["why"]
    assert found_for(tmp_path, engine, ["i4"])["kind"] == INTERNAL, "a validation image"
    assert found_for(tmp_path, engine, ["i8", "i9"], data=data)["kind"] == INTERNAL
    assert found_for(tmp_path, engine, ["i8"], labels=data)["kind"] == INTERNAL
    assert found_for(tmp_path, engine, ["a", "b"], data=data)["kind"] == EXTERNAL


def test_other_sources_of_format_1_are_not_known(tmp_path, data, of_three):
    of_format_1(of_three)
    for more in ({}, {"data": data}):
        assert found_for(tmp_path, of_three, ["x2", "a"], **more)["kind"] == UNKNOWN


@pytest.fixture(scope="module")
def default_engine():
    return find_engine(DEFAULT_ENGINE)


@pytest.fixture(scope="module")
def held_out(default_engine):
    """Ids of HAM10000 that the default engine was not trained on."""
    listed = read_training_images(default_engine, read_manifest(default_engine))
    known = {image.image for image in listed.images}
    ids = [f"ISIC_{number:07}" for number in range(FIRST, LAST + 1)]
    pairs = {name for pair in KNOWN_PAIRS for name in pair}
    return [name for name in ids if name not in pairs and hashed(name) not in known]


def test_the_default_engine_knows_ham10000_by_its_ids(tmp_path, default_engine, held_out):
    found = found_for(tmp_path, default_engine, held_out[:2])
    assert (found["kind"], found["images"]) == (INTERNAL, {"HAM10000": 2})
    assert found_for(tmp_path, default_engine, ["a", "ISIC_0034321"])["kind"] == EXTERNAL
    assert found_for(tmp_path, default_engine, ["a", held_out[-1].lower()])["kind"] == MIXED


def test_the_default_engine_knows_ham10000_by_its_lesions(tmp_path, default_engine):
    found = found_for(tmp_path, default_engine, ["a", "b"], ["HAM_0999999", "own"])
    assert (found["images"], found["others"]) == ({"HAM10000": 1}, 1)


def test_ids_of_ham10000_are_external_to_an_engine_of_another_source(tmp_path, of_three, held_out):
    assert found_for(tmp_path, of_three, held_out[:2])["kind"] == EXTERNAL


@pytest.mark.parametrize(
    ("image_id", "of_ham10000"),
    [
        ("ISIC_0024306", True),
        ("ISIC_0034320", True),
        ("ISIC_0024305", False),
        ("ISIC_0034321", False),
        ("ISIC_0024306_downsampled", False),
        ("ISIC_24306", False),
    ],
)
def test_ham10000_is_one_range_of_ids(image_id, of_ham10000):
    assert is_of_ham10000(image_id) is of_ham10000


def test_a_training_that_is_not_known_makes_no_image_external(tmp_path, data, engine):
    assert found_for(tmp_path, engine, ["a"])["kind"] == UNKNOWN, "an engine without a list"
    table = predictions(tmp_path / "q.csv", ["a"])
    labels = truth(tmp_path / "t.csv", ["a"], ["own"])
    report = compare(table, labels, leaks=LeakOptions(data=data))
    assert report["origin"]["kind"] == UNKNOWN
    assert "the engine is not known" in format_report(report)


def test_predictions_out_of_fold_are_internal(tmp_path, data):
    images = pd.DataFrame({"file": ["i0.jpg"], "sha256": [digest(0)], "split": ["train"]})
    table = write_out_of_fold(tmp_path, images, np.full((1, 7), 1 / 7), digest(9), {})
    report = compare(table, data)
    assert report["origin"]["kind"] == INTERNAL
    line = "internal: each score is of a network that did not train on the lesion, but on others of"
    assert line in format_report(report)


def test_the_second_line_of_a_report_says_it(tmp_path, of_three):
    images = ["a", "b"]
    table = record(predictions(tmp_path / "p.csv", images), of_three)
    report = compare(table, truth(tmp_path / "t.csv", images, images))
    line = format_report(report).splitlines()[1]
    name = read_manifest(of_three).name
    assert line == (
        f"external: none of the 2 images is of a source that {name} was trained on "
        "(ours, clinic, archive)"
    )


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (["i8"], "internal: held-out images of ours, a source of the training; expect less on"),
        (["x2"], "held-out: images of clinic; E was trained on others of it; expect less on"),
        (["i8", "x2", "a"], "mixed: 1 of ours, 1 of clinic, 1 of no source of the training;"),
    ],
)
def test_the_line_names_sources_and_counts(tmp_path, of_three, images, line):
    assert origin(found_for(tmp_path, of_three, images), "E").startswith(line)
