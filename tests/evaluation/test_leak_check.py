"""The training images are found by way of the record, the engine and its split table."""

import json

import numpy as np
import pandas as pd
import pytest

from hambatch.engines.manifest import TRAINING_IMAGES
from hambatch.engines.training_images import write_training_images
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.options import LeakOptions
from hambatch.evaluation.out_of_fold import write_out_of_fold
from hambatch.evaluation.report import format_report
from hambatch.ham10000.table import read_split
from hambatch.ham10000.training_images import training_images_of
from hambatch.system.files import sha256_of_file
from tests.engine_json import rewrite
from tests.evaluation.tables import digest, predictions, record, truth


def test_validation_images_are_evaluated_with_a_note(tmp_path, data):
    table = predictions(tmp_path / "p.csv", ["i4", "i5"])
    report = compare(table, data, "val", leaks=LeakOptions(data=data))
    assert report["leak_check"]["validation_images"] == 2
    assert "NOTE: 2 of the evaluated images are validation images" in format_report(report)
    assert "NOTE: it is assumed that the engine was trained on train of it" in format_report(report)


def test_validation_images_are_known_by_their_bytes_too(tmp_path, data):
    table = predictions(tmp_path / "p.csv", ["renamed", "b"], [digest(4), digest(99)])
    labels = truth(tmp_path / "t.csv", ["renamed", "b"], ["own", "other"])
    report = compare(table, labels, leaks=LeakOptions(data=data))
    assert report["leak_check"]["validation_images"] == 1


def test_an_unknown_training_is_reported(tmp_path, data):
    report = compare(predictions(tmp_path / "p.csv", ["i0", "i9"]), data)
    assert report["leak_check"]["done"] is False
    assert (
        "leak check not done: p.csv has no record beside it that names its engine"
        in format_report(report)
    )


@pytest.mark.parametrize("engine_option", [None, "none"])
def test_the_report_knows_whether_the_user_named_no_engine(tmp_path, data, engine_option):
    table = predictions(tmp_path / "p.csv", ["i0", "i9"])
    check = compare(table, data, leaks=LeakOptions(engine=engine_option))["leak_check"]
    assert (check["done"], check["no_engine"]) == (False, engine_option == "none")


def test_the_card_of_the_engine_says_that_the_truth_is_its_split_table(tmp_path, data, engine):
    table = record(predictions(tmp_path / "p.csv", ["i0", "i9"]), engine)
    with pytest.raises(InputError, match="1 with the same image"):
        compare(table, data)
    assert compare(table, data, "test")["leak_check"]["done"] is True


def test_sides_that_the_card_names_as_trained_on_are_refused_too(tmp_path, data, engine):
    raw = json.loads((engine / "engine.json").read_text())
    raw["data"]["trained_on"] = ["train", "val"]
    rewrite(engine / "engine.json", raw)
    table = record(predictions(tmp_path / "p.csv", ["i4", "i9"]), engine)
    with pytest.raises(InputError, match="split train and val"):
        compare(table, data)


def test_an_engines_own_list_tells_validation_images_apart(tmp_path, data, engine):
    listed = training_images_of(read_split(data), tmp_path, sha256_of_file(data), {})
    write_training_images(engine, listed)
    raw = json.loads((engine / "engine.json").read_text())
    path = engine / TRAINING_IMAGES
    entry = {"sha256": sha256_of_file(path), "bytes": path.stat().st_size, "optional": False}
    raw["files"][TRAINING_IMAGES] = entry
    raw["data"]["trained_on"] = ["train"]
    rewrite(engine / "engine.json", raw)
    table = record(predictions(tmp_path / "p.csv", ["i4", "i8"]), engine)
    labels = truth(tmp_path / "t.csv", ["i4", "i8"], ["L2", "L4"])
    check = compare(table, labels)["leak_check"]
    assert (check["done"], check["training_images"], check["validation_images"]) == (True, 4, 1)
    raw["data"]["trained_on"] = ["train", "val"]
    rewrite(engine / "engine.json", raw)
    record(table, engine)
    with pytest.raises(InputError, match=r"1 with the same image \(i4\)"):
        compare(table, labels)


def test_images_of_other_sources_are_known_beside_the_split_table(tmp_path, data, engine):
    other = {"image_id": "x1", "lesion_id": "", "sha256": digest(50), "split": "train"}
    table = pd.concat([read_split(data), pd.DataFrame([other | {"file": "x1.jpg"}])]).fillna("")
    listed = training_images_of(table, tmp_path, sha256_of_file(data), {})
    write_training_images(engine, listed)
    raw = json.loads((engine / "engine.json").read_text())
    path = engine / TRAINING_IMAGES
    entry = {"sha256": sha256_of_file(path), "bytes": path.stat().st_size, "optional": False}
    raw["files"][TRAINING_IMAGES] = entry
    raw["data"] |= {"trained_on": ["train"], "extra": [{"source": "x"}]}
    rewrite(engine / "engine.json", raw)
    scored = predictions(tmp_path / "p.csv", ["i8", "i9"], [digest(50), digest(9)])
    with pytest.raises(InputError, match=r"1 with the same bytes"):
        compare(record(scored, engine), data, "test")
    scored = predictions(tmp_path / "p.csv", ["i8", "i9"], [digest(8), digest(9)])
    check = compare(record(scored, engine), data, "test")["leak_check"]
    assert (check["done"], check["training_images"]) == (True, 5)


def test_a_manifest_that_was_damaged_does_not_switch_the_check_off(tmp_path, data, engine):
    table = record(predictions(tmp_path / "p.csv", ["i0", "i9"]), engine)
    path = engine / "engine.json"
    path.write_text(path.read_text().replace('"train"', '"urain"'))
    with pytest.raises(EngineError, match="was changed after it was written"):
        compare(table, data)


def test_what_an_engine_got_since_it_scored_hides_nothing(tmp_path, data, engine):
    table = record(predictions(tmp_path / "p.csv", ["i4", "i9"]), engine)
    raw = json.loads((engine / "engine.json").read_text())
    run = json.loads((tmp_path / "p.csv.run.json").read_text())
    graph = raw["files"]["model.onnx"]["sha256"]
    run["engine"]["graph_sha256"] = run["fingerprint"]["engine"]["graph_sha256"] = graph
    (tmp_path / "p.csv.run.json").write_text(json.dumps(run))
    # As a temperature, a gate or an INT8 graph does: the hash of the manifest is another one.
    raw["data"]["trained_on"] = ["train", "val"]
    rewrite(engine / "engine.json", raw)
    for more in (LeakOptions(), LeakOptions(data=data)):
        with pytest.raises(InputError, match="split train and val"):
            compare(table, data, leaks=more)


def test_out_of_fold_predictions_need_no_check_and_the_report_says_why(tmp_path, data):
    images = pd.DataFrame({"file": ["i0.jpg"], "sha256": [digest(0)], "split": ["train"]})
    table = write_out_of_fold(tmp_path, images, np.full((1, 7), 1 / 7), digest(9), {})
    report = compare(table, data)
    assert "no image is by a network that saw its lesion" in format_report(report)


def test_another_split_table_than_the_cards_is_refused(tmp_path, data, engine):
    table = record(predictions(tmp_path / "p.csv", ["i9"]), engine)
    other = tmp_path / "other.csv"
    other.write_text(data.read_text().replace("i0.jpg", "i0.png"))
    with pytest.raises(InputError, match=r"other\.csv: found sha256 (.|\n)*was trained with"):
        compare(table, data, "test", leaks=LeakOptions(data=other))


def test_a_record_of_another_table_or_engine_says_nothing(tmp_path, data, engine):
    table = record(predictions(tmp_path / "p.csv", ["i0", "i9"]), engine)
    content = table.read_text()
    table.write_text(content + "i10.jpg,ok,nv,0.1,0.1,0.1,0.1,0.1,0.1,0.1,\n")
    report = compare(table, data)
    assert report["leak_check"]["done"] is False
    assert "p.csv is not the table that its record describes" in format_report(report)
    table.write_text(content)
    (engine / "engine.json").write_text((engine / "engine.json").read_text() + "\n")
    assert compare(table, data)["leak_check"]["done"] is False


def test_the_other_table_of_a_pair_is_checked_as_well(tmp_path, data, engine):
    first = predictions(tmp_path / "p.csv", ["i8", "i9"])
    second = record(predictions(tmp_path / "q.csv", ["i8", "i9"], [digest(0), digest(1)]), engine)
    with pytest.raises(InputError, match=r"q\.csv: 2 of 2 evaluated images leak"):
        compare(first, data, "test", against=second)


def test_a_second_engine_may_have_had_another_split_table(tmp_path, data, engine):
    other = tmp_path / "other.csv"
    other.write_text(data.read_text().replace("i0.jpg", "i0.png"))
    first = predictions(tmp_path / "p.csv", ["i8", "i9"])
    second = record(predictions(tmp_path / "q.csv", ["i8", "i9"]), engine)
    report = compare(first, data, "test", against=second, leaks=LeakOptions(data=other))
    assert report["leak_check"]["done"] is True
    assert report["against"]["leak_check"]["done"] is False
