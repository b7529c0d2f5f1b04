"""An evaluated image that shares anything with a training image is refused."""

import json
import zipfile

import pandas as pd
import pytest

from hambatch.errors import InputError
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.options import LeakOptions
from hambatch.evaluation.report import format_report
from hambatch.ham10000.leaks import KNOWN_PAIRS
from hambatch.system.files import sha256_of_bytes, sha256_of_file
from tests.evaluation.tables import digest, predictions, record, split_table, truth
from tests.ham10000.images import COPIES, encoded, picture


def test_held_out_images_pass_and_the_report_says_what_was_checked(tmp_path, data):
    table = predictions(tmp_path / "p.csv", ["i8", "i9", "i10", "i11"])
    report = compare(table, data, "test", leaks=LeakOptions(data=data))
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
            compare(table, labels, leaks=LeakOptions(data=data))
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
        compare(table, labels, leaks=LeakOptions(data=data))
    for words in (str(table), "1 of 2 evaluated images leak", what, "wanted", "Next: "):
        assert words in str(refused.value)


def test_a_lesion_that_only_the_split_table_knows_is_found(tmp_path, data):
    split = pd.read_csv(data, dtype=str, keep_default_na=False)
    split.loc[split["image_id"] == "i5", "lesion_id"] = "L0"
    split.to_csv(data, index=False)
    table, labels = predictions(tmp_path / "p.csv", ["i5"]), tmp_path / "t.csv"
    labels.write_text("image_id,dx\ni5,nv\n")
    with pytest.raises(InputError, match=r"the same lesion \(i5 and i0\)"):
        compare(table, labels, leaks=LeakOptions(data=data))


def test_nothing_known_is_nothing_shared_and_it_says_what_was_not_checked(tmp_path, data):
    table, labels = predictions(tmp_path / "p.csv", ["x"], [""]), tmp_path / "t.csv"
    labels.write_text("image_id,dx\nx,nv\n")
    check = compare(table, labels, leaks=LeakOptions(data=data))["leak_check"]
    assert (check["training_images"], check["trained_on"]) == (4, 0)
    assert check["checks"] == ["the same image", "one lesion under two ids"]
    assert set(check["not_checked"]) == {
        "the same lesion",
        "the same bytes",
        "nearly the same picture",
    }


def with_images(data, **contents):
    """Give rows of the split table real images, by image_id, and say where they are."""
    split = pd.read_csv(data, dtype=str, keep_default_na=False)
    for image_id, content in contents.items():
        (data.parent / f"{image_id}.jpg").write_bytes(content)
        split.loc[split["image_id"] == image_id, "sha256"] = sha256_of_bytes(content)
    split.to_csv(data, index=False)
    (data.parent / "split.csv.json").write_text(json.dumps({"root": str(data.parent)}))
    return dict(zip(split["image_id"], split["sha256"], strict=True))


def test_nearly_the_same_picture_as_a_training_images_stops_it(tmp_path, data):
    copy = COPIES["half as large"](picture(0))
    hashes = with_images(data, i1=encoded(picture(0)), i8=copy, i9=encoded(picture(1)))
    table = predictions(tmp_path / "p.csv", ["i8", "i9"], [hashes["i8"], hashes["i9"]])
    with pytest.raises(InputError, match=r"1 with nearly the same picture \(i8 and i1\)"):
        compare(table, data, "test", leaks=LeakOptions(data=data))


@pytest.mark.parametrize("image", ["new", "scans.zip!/x/new"])
def test_images_from_elsewhere_are_read_where_the_run_found_them(tmp_path, data, engine, image):
    with_images(data, i1=encoded(picture(0)))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    copy = COPIES["compressed at 75"](picture(0))
    (folder / "new.jpg").write_bytes(copy)
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        archive.write(folder / "new.jpg", "x/new.jpg")
    source = tmp_path / "scans.zip" if "!" in image else folder
    table = record(predictions(tmp_path / "p.csv", [image], [sha256_of_bytes(copy)]), engine)
    about = json.loads((tmp_path / "p.csv.run.json").read_text()) | {"source": str(source)}
    about["engine"] = about["fingerprint"]["engine"] = {"engine_json_sha256": digest(0)}
    (tmp_path / "p.csv.run.json").write_text(json.dumps(about))
    labels = truth(tmp_path / "t.csv", ["new"], ["own"])
    with pytest.raises(InputError, match=r"nearly the same picture \(new and i1\)"):
        compare(table, labels, leaks=LeakOptions(data=data))


def test_images_that_are_not_here_are_counted(tmp_path, data):
    hashes = with_images(data, i1=encoded(picture(2)), i8=encoded(picture(3)))
    table = predictions(tmp_path / "p.csv", ["i8", "i9"], [hashes["i8"], hashes["i9"]])
    report = compare(table, data, "test", leaks=LeakOptions(data=data))
    assert report["leak_check"]["pictures_not_compared"] == {"evaluated": 1, "training": 3}
    assert "1 evaluated and 3 training images cannot be read here" in format_report(report)
