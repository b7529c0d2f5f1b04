"""Nothing that was trained on is evaluated, as far as anything is known of the training."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import find_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.leaks import refuse_leaks
from hambatch.evaluation.out_of_fold import write_out_of_fold
from hambatch.evaluation.report import format_report
from hambatch.ham10000.leaks import KNOWN_PAIRS
from hambatch.ham10000.table import COLUMNS
from hambatch.system.files import sha256_of_bytes, sha256_of_file
from tests.engine_json import rewrite
from tests.ham10000.pictures import COPIES, encoded, picture


def digest(k):
    return f"{k:064x}"


def split_table(path):
    """Nine images of six lesions, three a side."""
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {"image_id": f"i{k}", "lesion_id": f"L{k // 2}", "dx": CLASSES[k % 7]}
        | {"file": f"i{k}.jpg", "sha256": digest(k)}
        | {"split": ("train", "val", "test")[min(k // 4, 2)]}
        for k in range(12)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def predictions(path, images, hashes=None):
    header = ["image", "status", "prediction", *(f"p_{name}" for name in CLASSES), "sha256"]
    hashes = hashes or [digest(100 + k) for k in range(len(images))]
    rows = [[f"{i}.jpg", "ok", "nv", *["0.1"] * 7, h] for i, h in zip(images, hashes, strict=True)]
    pd.DataFrame(rows, columns=header).to_csv(path, index=False)
    return path


def truth(path, images, lesions):
    rows = {"image_id": images, "lesion_id": lesions, "dx": ["nv"] * len(images)}
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture
def data(tmp_path):
    return split_table(tmp_path / "split.csv")


def test_held_out_images_pass_and_the_report_says_what_was_checked(tmp_path, data):
    table = predictions(tmp_path / "p.csv", ["i8", "i9", "i10", "i11"])
    report = compare(table, data, "test", data=data)
    check = report["leak_check"]
    assert (check["done"], check["training_images"], check["validation_images"]) == (True, 4, 0)
    assert check["split"] == {"file": "split.csv", "sha256": sha256_of_file(data)}
    assert "nothing in common with the 4 training images of split.csv" in format_report(report)


def test_the_other_photograph_of_a_known_pair_leaks_whichever_was_trained_on(tmp_path):
    for trained, held_out in (KNOWN_PAIRS[5], KNOWN_PAIRS[5][::-1]):
        data = split_table(tmp_path / "split.csv")
        data.write_text(data.read_text().replace("i0,", f"{trained},"))
        table = predictions(tmp_path / "p.csv", [held_out, "i9"])
        labels = truth(tmp_path / "t.csv", [held_out, "i9"], ["own", "L4"])
        with pytest.raises(InputError) as refused:
            compare(table, labels, data=data)
        assert f"one lesion under two ids ({held_out} and {trained})" in str(refused.value)


@pytest.mark.parametrize(
    ("image", "lesion", "content", "what"),
    [
        ("i0", "own", digest(99), "1 with the same image (i0 and i0)"),
        ("new", "L1", digest(99), "1 with the same lesion (new and i2)"),
        ("new", "own", digest(3), "1 with the same bytes (new and i3)"),
    ],
)
def test_whatever_is_shared_with_a_training_image_stops_it(
    tmp_path, data, image, lesion, content, what
):
    table = predictions(tmp_path / "p.csv", ["i9", image], [digest(50), content])
    labels = truth(tmp_path / "t.csv", ["i9", image], ["L4", lesion])
    with pytest.raises(InputError) as refused:
        compare(table, labels, data=data)
    for words in (str(table), "1 of 2 evaluated images leak", what, "wanted", "Next: "):
        assert words in str(refused.value)


def test_a_lesion_that_only_the_split_table_knows_is_found(data):
    images = pd.DataFrame({"image_id": ["i5"], "sha256": [""]})
    split = pd.read_csv(data, dtype=str, keep_default_na=False)
    split.loc[split["image_id"] == "i5", "lesion_id"] = "L0"
    with pytest.raises(InputError, match=r"the same lesion \(i5 and i0\)"):
        refuse_leaks(images, split, ("train",), data, data)


def test_nothing_known_is_nothing_shared(data):
    images = pd.DataFrame({"image_id": ["x"], "sha256": [""], "lesion_id": [""]})
    split = pd.read_csv(data, dtype=str, keep_default_na=False)
    assert refuse_leaks(images, split, ("train",), data, data)["training_images"] == 4


def test_validation_images_are_evaluated_but_told(tmp_path, data):
    table = predictions(tmp_path / "p.csv", ["i4", "i5"])
    report = compare(table, data, "val", data=data)
    assert report["leak_check"]["validation_images"] == 2
    assert "NOTE: 2 of the evaluated images are validation images" in format_report(report)
    assert "NOTE: it is assumed that the engine was trained on train of it" in format_report(report)


def test_an_unknown_training_is_told(tmp_path, data):
    report = compare(predictions(tmp_path / "p.csv", ["i0", "i9"]), data)
    assert report["leak_check"]["done"] is False
    assert "leak check not done: the training images are not known" in format_report(report)


def with_pictures(data, **contents):
    """Give rows of the split table real pictures, by image_id, and say where they are."""
    split = pd.read_csv(data, dtype=str, keep_default_na=False)
    for image_id, content in contents.items():
        (data.parent / f"{image_id}.jpg").write_bytes(content)
        split.loc[split["image_id"] == image_id, "sha256"] = sha256_of_bytes(content)
    split.to_csv(data, index=False)
    (data.parent / "split.csv.json").write_text(json.dumps({"root": str(data.parent)}))
    return dict(zip(split["image_id"], split["sha256"], strict=True))


def test_nearly_the_same_picture_as_a_training_images_stops_it(tmp_path, data):
    copy = COPIES["half as large"](picture(0))
    hashes = with_pictures(data, i1=encoded(picture(0)), i8=copy, i9=encoded(picture(1)))
    table = predictions(tmp_path / "p.csv", ["i8", "i9"], [hashes["i8"], hashes["i9"]])
    with pytest.raises(InputError, match=r"1 with nearly the same picture \(i8 and i1\)"):
        compare(table, data, "test", data=data)


def test_images_from_elsewhere_are_looked_at_where_the_run_found_them(tmp_path, data, engine):
    with_pictures(data, i1=encoded(picture(0)))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    copy = COPIES["compressed at 75"](picture(0))
    (folder / "new.jpg").write_bytes(copy)
    table = record(predictions(tmp_path / "p.csv", ["new"], [sha256_of_bytes(copy)]), engine)
    about = json.loads((tmp_path / "p.csv.run.json").read_text()) | {"source": str(folder)}
    about["engine"] = about["fingerprint"]["engine"] = {"engine_json_sha256": digest(0)}
    (tmp_path / "p.csv.run.json").write_text(json.dumps(about))
    labels = truth(tmp_path / "t.csv", ["new"], ["own"])
    with pytest.raises(InputError, match=r"nearly the same picture \(new and i1\)"):
        compare(table, labels, data=data)


def test_pictures_that_are_not_here_are_told(tmp_path, data):
    hashes = with_pictures(data, i1=encoded(picture(2)), i8=encoded(picture(3)))
    table = predictions(tmp_path / "p.csv", ["i8", "i9"], [hashes["i8"], hashes["i9"]])
    report = compare(table, data, "test", data=data)
    assert report["leak_check"]["pictures_not_compared"] == {"evaluated": 1, "training": 3}
    assert "pictures of 1 evaluated and 3 training images are not here" in format_report(report)


@pytest.fixture
def engine(tmp_path, data):
    """An engine whose card says that it was trained with ``data``."""
    folder = tmp_path / "engine"
    folder.mkdir()
    shutil.copy(find_engine(DEFAULT_ENGINE) / "engine.json", folder)
    raw = json.loads((folder / "engine.json").read_text())
    raw["data"]["split_sha256"] = sha256_of_file(data)
    rewrite(folder / "engine.json", raw)
    return folder


def record(table, engine):
    """Leave the record of a run by that engine beside a table."""
    used = {"name": "x", "engine_json_sha256": sha256_of_file(engine / "engine.json")}
    listing = {"sha256": digest(0)}
    known = {
        "state": "finished",
        "output": {"file": table.name, "sha256": sha256_of_file(table)},
        "fingerprint": {
            "listing": listing,
            "engine": used,
            "backend": {"name": "openvino", "precision": "fp32"},
        },
        "engine": used,
        "not_scored": {
            "others": {"count": 0, "names": []},
            "unreadable": {},
            "links_left": {"count": 0, "names": []},
        },
        "options": {"engine": str(engine), "backend": "openvino", "precision": "fp32"},
    }
    for name in ("salvage_truncated", "follow_symlinks"):
        known["options"][name] = False
    for name in ("max_megabytes", "max_megapixels", "decode_seconds", "readers", "prefetch"):
        known["options"][name] = 2
    table.with_name(table.name + ".run.json").write_text(json.dumps(known))
    return table


def test_the_card_of_the_engine_tells_that_the_truth_is_its_split_table(tmp_path, data, engine):
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
    for more in ({}, {"data": data}):
        with pytest.raises(InputError, match="split train and val"):
            compare(table, data, **more)


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
        compare(table, data, "test", data=other)


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
    report = compare(first, data, "test", against=second, data=other)
    assert report["leak_check"]["done"] is True
    assert report["against"]["leak_check"]["done"] is False
