"""From files to PNGs and `explain.json`: each image its own, a broken one a reason."""

import json
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.errors import EngineError, InputError
from hambatch.explanation.document import as_text
from hambatch.explanation.explain import explain
from hambatch.explanation.options import ExplainOptions
from hambatch.explanation.selection import images_of_table, named_images
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.sinks.formats import read_rows
from hambatch.sinks.publish import record_path
from hambatch.sources.reading import fetch
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name
from hambatch.types import Row
from tests.conftest import jpeg_bytes
from tests.explanation.conftest import Explained


def rows_by_name(explained: Explained) -> dict[str, Row]:
    return {row.image: row for row in read_rows(explained.table, "csv")}


def entries(explained: Explained) -> dict[str, dict]:
    document = json.loads((explained.out / "explain.json").read_text())
    return {Path(one["image"]).name: one for one in document["images"]}


def test_probabilities_are_those_of_scoring_in_fp32(explained: Explained) -> None:
    rows, found = rows_by_name(explained), entries(explained)
    names = ("a/picture_3.jpg", "turned.jpg", "last.png")
    assert len({rows[name].probabilities for name in names}) == 3
    for name in names:
        one, row = found[Path(name).name], rows[name]
        probabilities = [one["probabilities"][label] for label in CLASSES]
        np.testing.assert_allclose(probabilities, row.probabilities, rtol=0, atol=1e-5)
        assert (one["prediction"], one["sha256"]) == (row.prediction, row.sha256)


def test_broken_and_missing_files_are_entries_with_the_reason_of_scoring(
    explained: Explained,
) -> None:
    found = entries(explained)
    assert [one["status"] for one in found.values()] == ["ok", "failed", "ok", "ok", "failed"]
    assert found["broken.jpg"]["reason"] == rows_by_name(explained)["broken.jpg"].reason != ""
    assert found["gone.jpg"]["reason"] == "cannot be read: No such file or directory"
    assert "maps" not in found["broken.jpg"]
    assert not explained.outcome.complete


def test_every_scored_image_has_a_png_that_opens(explained: Explained) -> None:
    found = entries(explained)
    shown = {one["picture"] for one in found.values() if one["status"] == "ok"}
    assert {path.name for path in explained.out.iterdir()} == {*shown, "explain.json"}
    for name in shown:
        with Image.open(explained.out / name) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert picture.height == 660


def test_the_heat_map_has_the_aspect_of_the_picture(explained: Explained) -> None:
    found = entries(explained)
    assert found["picture_3.jpg"]["size"] == [96, 72]
    assert found["turned.jpg"]["size"] == [72, 96], "EXIF lays it on its side"
    assert found["last.png"]["size"] == [120, 40]
    widths = {}
    for name, one in found.items():
        if one["status"] == "ok":
            with Image.open(explained.out / one["picture"]) as picture:
                widths[name] = picture.width
    assert widths["turned.jpg"] < widths["picture_3.jpg"] < widths["last.png"]


def test_the_json_says_what_was_done_with_what(explained: Explained, headed_engine: Path) -> None:
    document = explained.outcome.document
    assert document == json.loads((explained.out / "explain.json").read_text())
    assert document["use"] == "Research use only: not a medical device."
    assert "1610.02391" in document["method"]["source"]
    engine = document["engine"]
    assert engine["engine_json_sha256"] == sha256_of_file(headed_engine / "engine.json")
    assert engine["graph_sha256"] == sha256_of_file(headed_engine / "model.onnx")
    assert document["backend"] == "openvino-fp32"
    assert document["counts"] == {"images": 5, "explained": 3, "failed": 2}


def test_maps_of_all_classes_are_in_the_json(explained: Explained) -> None:
    for one in entries(explained).values():
        if one["status"] == "ok":
            assert list(one["maps"]) == list(CLASSES)
            assert np.shape([*one["maps"].values()]) == (7, 7, 7)
            assert one["picture_of"] == one["prediction"]


def test_a_table_gives_its_highest_rows_of_a_label(explained: Explained, tmp_path: Path) -> None:
    rows = [row for row in rows_by_name(explained).values() if row.status == "ok"]
    label = max(CLASSES, key=lambda name: sum(row.prediction == name for row in rows))
    fitting = [row for row in rows if row.prediction == label]
    assert 2 < len(fitting) < len(rows), "an example in which label and number choose"
    wanted = sorted(fitting, key=lambda row: -max(row.probabilities))[:2]
    options = ExplainOptions(label=label, top=2, of_class="df")
    selection = images_of_table(explained.table, [], options)
    changed = explained.images / wanted[1].image
    kept = changed.read_bytes()
    try:
        changed.write_bytes(jpeg_bytes(1234))
        outcome = explain(selection, tmp_path / "new" / "out", options)
    finally:
        changed.write_bytes(kept)

    first, second = outcome.document["images"]
    assert [first["image"], second["image"]] == [row.image for row in wanted]
    assert first["in_table"]["confidence"] == max(wanted[0].probabilities)
    assert first["picture"].endswith("_df.png")
    assert (tmp_path / "new" / "out" / first["picture"]).is_file()
    assert second["reason"].startswith("not the file of the table: sha256 ")
    assert outcome.document["table"]["sha256"] == sha256_of_file(explained.table)
    assert "another engine" not in as_text(outcome.document, tmp_path)


def test_the_table_s_engine_and_limits_are_taken_unless_options_say_otherwise(
    explained: Explained, headed_engine: Path, tmp_path: Path
) -> None:
    selection = images_of_table(explained.table, [], ExplainOptions())
    assert selection.options.engine == str(headed_engine)
    assert selection.sources.only_folder == explained.images
    assert len(selection.entries) == 12
    other = images_of_table(explained.table, [tmp_path], ExplainOptions(engine="other"))
    assert (other.options.engine, other.sources.only_folder) == ("other", tmp_path)


def test_a_label_that_nothing_has_is_refused_with_what_there_is(explained: Explained) -> None:
    predicted = {row.prediction for row in rows_by_name(explained).values()}
    absent = next(name for name in CLASSES if name not in predicted)
    with pytest.raises(InputError, match=f"wanted one predicted {absent}.*\nNext: ") as refused:
        images_of_table(explained.table, [], ExplainOptions(label=absent))
    assert any(f" {name}" in str(refused.value) for name in predicted - {""})


def test_a_table_without_its_record_is_refused(explained: Explained, tmp_path: Path) -> None:
    shutil.copy(explained.table, tmp_path / "preds.csv")
    with pytest.raises(InputError, match=r"preds\.csv\.run\.json cannot be used as the record"):
        images_of_table(tmp_path / "preds.csv", [], ExplainOptions())


def test_a_table_that_was_changed_is_refused(explained: Explained, tmp_path: Path) -> None:
    changed = tmp_path / "preds.csv"
    changed.write_bytes(explained.table.read_bytes().replace(b",ok,", b",ok ,", 1))
    shutil.copy(record_path(explained.table), record_path(changed))
    with pytest.raises(InputError, match=r"is not the table that preds\.csv\.run\.json describes"):
        images_of_table(changed, [], ExplainOptions())


def test_an_engine_in_another_state_than_the_table_s_is_named(
    explained: Explained, headed_engine: Path, tmp_path: Path
) -> None:
    other = tmp_path / "engine"
    shutil.copytree(headed_engine, other)
    write_manifest(other, replace(read_manifest(other), version="2"))
    options = ExplainOptions(engine=str(other), top=1)
    outcome = explain(images_of_table(explained.table, [], options), tmp_path / "out", options)
    assert "scored with another engine, or another state" in as_text(outcome.document, tmp_path)


def test_an_engine_with_another_head_is_refused_before_anything_is_written(
    explained: Explained, tiny_engine: Path, tmp_path: Path
) -> None:
    options = ExplainOptions(engine=str(tiny_engine))
    selection = named_images([explained.images / "last.png"], options)
    with pytest.raises(EngineError, match="cannot be explained: its head has"):
        explain(selection, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def of_archives(
    explained: Explained, headed_engine: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The images in two archives, one of them compressed as a whole, and their table."""
    place = tmp_path_factory.mktemp("archives")
    images = sorted(path for path in explained.images.rglob("*.*") if path.name != "broken.jpg")
    with zipfile.ZipFile(place / "scans.zip", "w") as scans:
        for path in images[:6]:
            scans.write(path, path.relative_to(explained.images))
    with tarfile.open(place / "more.tar.gz", "w:gz") as more:
        for path in reversed(images[6:]):
            more.add(path, path.relative_to(explained.images))
    options = ScoreOptions.on_cpu(engine=str(headed_engine), precision="fp32")
    score([place / "scans.zip", place / "more.tar.gz"], place / "preds.csv", "csv", options)
    return place


def test_images_of_archives_are_found_by_their_table_and_explained(
    of_archives: Path, explained: Explained, tmp_path: Path
) -> None:
    table = of_archives / "preds.csv"
    selection = images_of_table(table, [], ExplainOptions())
    assert {row.image.partition("/")[0] for row in selection.rows} == {"scans.zip!", "more.tar.gz!"}
    outcome = explain(selection, tmp_path / "out", ExplainOptions())
    assert outcome.complete
    assert [one.row.image for one in outcome.explanations] == [row.image for row in selection.rows]
    assert outcome.document["table"]["source"] == [
        str(of_archives / "scans.zip"),
        str(of_archives / "more.tar.gz"),
    ]
    of_files = entries(explained)["last.png"]
    (of_member,) = (one for one in outcome.document["images"] if one["image"].endswith("last.png"))
    assert of_member["maps"] == of_files["maps"]
    assert of_member["size"] == of_files["size"]


def test_archives_that_were_moved_are_asked_for(of_archives: Path, tmp_path: Path) -> None:
    table = tmp_path / "preds.csv"
    shutil.copy(of_archives / "preds.csv", table)
    record = json.loads(record_path(of_archives / "preds.csv").read_text())
    gone = [str(tmp_path / "scans.zip"), str(tmp_path / "more.tar.gz")]
    record_path(table).write_text(json.dumps(record | {"source": gone}))
    with pytest.raises(InputError, match=r"scans\.zip does not exist.*\nNext: add --source SOURCE"):
        images_of_table(table, [], ExplainOptions())
    words = [of_archives / "scans.zip", of_archives / "more.tar.gz"]
    found = images_of_table(table, words, ExplainOptions())
    assert all(entry.member for entry in found.entries)
    (tmp_path / "other.jpg").write_bytes(jpeg_bytes(4))
    some = images_of_table(table, [words[0], tmp_path], ExplainOptions())
    problems = {entry.problem for entry in some.entries if not entry.member}
    assert problems == {"cannot be read: not found in the sources"}
    with pytest.raises(InputError, match=r"has none of the images that .*preds\.csv names"):
        images_of_table(table, [tmp_path, tmp_path], ExplainOptions())


def test_a_member_is_named_by_its_archive(of_archives: Path, explained: Explained) -> None:
    names = [
        f"{of_archives}/scans.zip!/a/picture_3.jpg",
        f"{of_archives}/more.tar.gz!/turned.jpg",
        f"{of_archives}/scans.zip!/gone.jpg",
        f"{explained.images}/last.png",
    ]
    selection = named_images(list(map(Path, names)), ExplainOptions())
    items = [selection.sources.item(k, entry) for k, entry in enumerate(selection.entries)]
    first, second, gone, file = map(fetch, items)
    assert first.content == (explained.images / "a" / "picture_3.jpg").read_bytes()
    assert second.content == (explained.images / "turned.jpg").read_bytes()
    assert gone.problem == "cannot be read: No such file or directory"
    assert file.content == (explained.images / "last.png").read_bytes()
    assert [decode_name(entry.name) for entry in selection.entries] == names
