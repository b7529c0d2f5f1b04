"""Figures are of images that the engine was not trained on, or the first line says what is unknown.

The example: `hambatch evaluate preds.csv --truth LABELS`, without any split table.
"""

import csv
import hashlib
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from PIL import Image

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes
from tests.engine_json import rewrite

REAL = Path(__file__).parents[3] / "shared" / "data" / "ham10000"

TRAINED = {"=t0": "train", "t1": "train", "t2": "train", "t3": "val"}
HELD_OUT = {"u0": "test", "g0": "gate", "c0": "certify"}
FRESH = ("f0", "f1", "f2", "f3")


def invoke(*words):
    return CliRunner().invoke(hambatch, [str(word) for word in words])


def evaluate(table, truth, *options):
    return invoke("evaluate", table, "--truth", truth, *options)


def compressed_again(content):
    stream = io.BytesIO()
    Image.open(io.BytesIO(content)).save(stream, format="JPEG", quality=70)
    return stream.getvalue()


def write(path, rows):
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_engine):
    """An engine, its split table, a folder that it scored, and the diagnoses.

    Of the eight images one has the name of a training image, one its bytes, one its lesion, and
    one its picture. The engine is completed after it has scored, with a split table that has
    parts for a gate and for thresholds.
    """
    root = tmp_path_factory.mktemp("leaks")
    trained, archive = root / "trained", root / "archive"
    trained.mkdir()
    archive.mkdir()
    pictures = {name: jpeg_bytes(k) for k, name in enumerate(TRAINED | HELD_OUT)}
    for name, content in pictures.items():
        (trained / f"{name}.jpg").write_bytes(content)
    split = write(
        root / "split.csv",
        [
            dict.fromkeys(("dx_type", "age", "sex", "localization"), "")
            | {"image_id": name, "lesion_id": f"L{name}", "dx": "nv", "file": f"{name}.jpg"}
            | {"sha256": hashlib.sha256(pictures[name]).hexdigest(), "split": side}
            for name, side in (TRAINED | HELD_OUT).items()
        ],
    )
    (root / "split.csv.json").write_text(json.dumps({"root": str(trained)}))
    engine = root / "engine"
    shutil.copytree(tiny_engine, engine)
    values = json.loads((engine / "engine.json").read_text())
    digest = hashlib.sha256(split.read_bytes()).hexdigest()
    values["data"] = {"split_sha256": digest, "trained_on": ["train", "val"]}
    rewrite(engine / "engine.json", values)
    # In the form in which hambatch writes it.
    values = json.loads((engine / "engine.json").read_text())
    (engine / "engine.json").write_text(json.dumps(values, indent=2) + "\n")
    before = shutil.copytree(engine, root / "before")

    scored = {
        "=t0": jpeg_bytes(90),
        "renamed": pictures["t1"],
        "smaller": compressed_again(pictures["t2"]),
        "again": jpeg_bytes(91),
        **{name: jpeg_bytes(92 + k) for k, name in enumerate(FRESH)},
    }
    for name, content in scored.items():
        (archive / f"{name}.jpg").write_bytes(content)
    labels = [
        {"image_id": name, "lesion_id": "Lt3" if name == "again" else f"own {name}", "dx": dx}
        for name, dx in zip(scored, ["nv", "mel"] * 4, strict=True)
    ]
    table = root / "preds.csv"
    outcome = invoke("score", archive, "--engine", engine, "--out", table, "--device", "cpu")
    assert outcome.exit_code == 0, outcome.output
    completed = invoke("engines", "complete", engine, "--data", split)
    return SimpleNamespace(
        root=root,
        engine=engine,
        before=before,
        split=split,
        archive=archive,
        table=table,
        labels=write(root / "labels.csv", labels),
        completed=completed,
    )


def test_images_that_were_trained_on_stop_it_without_any_option(place):
    result = evaluate(place.table, place.labels)
    assert result.exit_code != 0, f"figures of training images:\n{result.stdout}"
    message = str(result.exception)
    for words in (
        "3 of 8 evaluated images leak",
        "1 with the same image (%3Dt0)",
        "1 with the same lesion (again)",
        "1 with the same bytes (renamed)",
        "Next: add --exclude-trained to measure the other 5",
    ):
        assert words in message


def test_they_are_left_out_and_counted_in_the_first_line(place):
    result = evaluate(place.table, place.labels, "--exclude-trained")
    assert result.exit_code == 0, result.output
    first = result.stdout.splitlines()[0]
    assert first.startswith("3 of 8 images were trained on, and are left out")
    assert "not checked: nearly the same picture (give --images SOURCE)" in first
    found = json.loads(evaluate(place.table, place.labels, "--exclude-trained", "--json").stdout)
    assert (found["n"], found["leak_check"]["evaluated"], found["leak_check"]["excluded"]) == (
        5,
        8,
        3,
    )


def test_their_pictures_are_known_again_in_a_folder(place):
    result = evaluate(place.table, place.labels, "--images", place.archive)
    assert "2 with nearly the same picture (renamed, smaller)" in str(result.exception)
    result = evaluate(
        place.table, place.labels, "--images", place.archive, "--exclude-trained", "--json"
    )
    check = json.loads(result.stdout)["leak_check"]
    assert (check["trained_on"], check["not_checked"]) == (4, {})
    # There lies an image of that name, with other bytes than those that were scored.
    result = evaluate(place.table, place.labels, "--images", place.root / "trained")
    assert "found none of the 8 evaluated images" in str(result.exception)


def test_the_list_holds_no_name_and_the_engine_stays_the_same(place):
    assert place.completed.exit_code == 0, place.completed.output
    # Neither those of the test nor the parts that were held apart for a gate and for thresholds.
    assert f"lists {len(TRAINED)} images" in place.completed.output
    text = (place.engine / "training_images.json").read_text()
    for secret in ("=t0", "%3Dt0", "Lt3", str(place.root)):
        assert f'"{secret}' not in text
    outcome = invoke("verify", place.table, place.archive)
    assert outcome.exit_code == 0, outcome.output


def test_the_other_engine_is_checked_as_well(place):
    rows = place.table.read_text().splitlines()
    fresh = place.root / "fresh.csv"
    fresh.write_text("\n".join([rows[0], *(row for row in rows if row.startswith(FRESH))]) + "\n")
    result = evaluate(fresh, place.labels, "--against", place.table)
    assert result.exit_code != 0, f"figures of training images:\n{result.stdout}"
    assert f"{place.table}: 3 of 8 evaluated images leak" in str(result.exception)


def test_predictions_without_a_record_are_said_first_to_be_of_an_unknown_engine(place):
    bare = place.root / "bare.csv"
    shutil.copy(place.table, bare)
    result = evaluate(bare, place.labels)
    first = result.stdout.splitlines()[0]
    assert first.startswith("WARNING: leak check not done: bare.csv has no record beside it")
    assert "add --engine NAME" in first
    result = evaluate(bare, place.labels, "--engine", place.engine)
    assert "3 of 8 evaluated images leak" in str(result.exception)
    result = evaluate(bare, place.labels, "--exclude-trained")
    assert result.exit_code != 0
    assert "Next: add --engine NAME" in str(result.exception)


def test_an_engine_without_a_list_says_first_how_it_gets_one(place):
    bare = place.root / "bare.csv"
    shutil.copy(place.table, bare)
    result = evaluate(bare, place.labels, "--engine", place.before)
    assert result.exit_code == 0, result.output
    first = result.stdout.splitlines()[0]
    assert "tiny has no training_images.json" in first
    assert f"hambatch engines complete {place.before} --data split.csv" in first


def test_another_split_table_leads_to_the_list_and_not_in_a_circle(place):
    other = place.root / "other.csv"
    other.write_text(place.split.read_text().replace(",val", ",train"))
    result = evaluate(place.table, place.labels, "--data", other)
    assert result.exit_code != 0
    assert "Next: leave --data away: tiny lists its training images itself" in str(result.exception)


def test_the_default_engines_split_table_is_named_with_the_options_that_made_it(place):
    bare = place.root / "bare.csv"
    shutil.copy(place.table, bare)
    options = ("--engine", "three-sources-resnet50", "--data", place.split)
    result = evaluate(bare, place.labels, *options)
    assert "hambatch prepare HAM10000_DIR --out split.csv --test-fraction 0.16" in str(
        result.exception
    )


def test_a_training_image_of_the_default_engine_is_not_measured_without_a_record(place):
    table, truth = place.root / "stray.csv", place.root / "stray_labels.csv"
    rows = place.table.read_text().splitlines()
    ids = ["ISIC_0024310", "ISIC_0034318"]
    names = [
        row.replace(row.split(",")[0], f"{image_id}.jpg")
        for row, image_id in zip(rows[1:3], ids, strict=True)
    ]
    table.write_text("\n".join([rows[0], *names]) + "\n")
    write(truth, [{"image_id": image_id, "dx": "mel"} for image_id in ids])
    result = evaluate(table, truth)
    assert result.exit_code != 0, f"figures of training images:\n{result.stdout}"
    # Nor with some other table, of whose training images none is among them.
    result = evaluate(table, truth, "--data", place.split)
    assert result.exit_code != 0
    for words in (
        "three-sources-resnet50 was trained on",
        "--engine three-sources-resnet50",
        "--engine none",
    ):
        assert words in str(result.exception)
    result = evaluate(table, truth, "--engine", "none")
    assert result.stdout.startswith("WARNING: leak check not done: --engine none")


@pytest.mark.data
def test_the_readmes_line_on_the_metadata_of_ham10000(tmp_path):
    """Twelve images, most of which the default engine was trained on."""
    if not REAL.is_dir():
        pytest.skip(f"no {REAL}")
    (tmp_path / "images").mkdir()
    for path in sorted((REAL / "HAM10000_images_part_1").glob("*.jpg"))[:12]:
        (tmp_path / "images" / path.name).symlink_to(path)
    table, truth = tmp_path / "preds.csv", REAL / "HAM10000_metadata.csv"
    scored = invoke("score", tmp_path / "images", "--out", table, "--follow-symlinks")
    assert scored.exit_code == 0, scored.output
    result = evaluate(table, truth)
    assert result.exit_code != 0, f"figures of training images:\n{result.stdout}"
    assert "evaluated images leak from the training images of three-sources-resnet50" in str(
        result.exception
    )
    result = evaluate(table, truth, "--exclude-trained", "--images", tmp_path / "images", "--json")
    found = json.loads(result.stdout)
    check = found["leak_check"]
    assert (found["n"], check["excluded"]) == (2, 10)
    assert (check["training_images"], check["not_checked"]) == (17584, {})


def test_a_training_without_any_image_is_not_known(place):
    held_out = place.root / "held_out.csv"
    held_out.write_text(place.split.read_text().replace(",train", ",test"))
    bare = place.root / "of_no_engine.csv"
    bare.write_bytes(place.table.read_bytes())
    options = ("--engine", "none", "--data", held_out)
    first = evaluate(bare, place.labels, *options).stdout.splitlines()[0]
    assert first.startswith("WARNING: leak check not done: held_out.csv lists no training image")
    result = evaluate(bare, place.labels, *options, "--exclude-trained")
    assert "Next: give the split table that the engine was trained with" in str(result.exception)


def test_a_copy_of_an_installed_engine_that_has_no_list_is_checked_by_the_list(tmp_path, place):
    installed = Path(__file__).parents[2] / "engines" / "three-sources-resnet50"
    values = json.loads((installed / "engine.json").read_text())
    del values["files"]["training_images.json"]
    (tmp_path / "engine.json").write_text(json.dumps(values))
    rewrite(tmp_path / "engine.json", values)
    bare = place.root / "by_a_copy.csv"
    bare.write_bytes(place.table.read_bytes())
    first = evaluate(bare, place.labels, "--engine", tmp_path).stdout.splitlines()[0]
    assert first.startswith("none of the 8 images was trained on")
