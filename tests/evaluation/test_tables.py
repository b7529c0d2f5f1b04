import json
import os

import pandas as pd
import pytest

from hambatch.engines.classes import ISIC_COLUMNS
from hambatch.errors import InputError
from hambatch.evaluation.tables import P_COLUMNS, read_predictions
from hambatch.evaluation.truth import read_truth
from hambatch.sinks.formats import open_table
from hambatch.system.text import image_id_of
from hambatch.types import Row

SCORE = ",".join(["image", "status", "prediction", *P_COLUMNS])
ISIC = ",".join(["image", *ISIC_COLUMNS])
ZEROS = ",0" * 7


@pytest.mark.parametrize(
    ("image", "image_id"),
    [
        ("ISIC_0024306.jpg", "ISIC_0024306"),
        ("part_1/ISIC_0024306.jpg", "ISIC_0024306"),
        ("archive.zip!/inner/a.b.PNG", "a.b"),
        ("night.tar.gz!/ISIC_0024306.jpg", "ISIC_0024306"),
        ("part_1/a.zip!/b/ISIC_0024306.jpg#2", "ISIC_0024306"),
        ("/scans/ISIC_0024306.jpg", "ISIC_0024306"),
        ("no_suffix", "no_suffix"),
        ("caf%E9.jpg", "caf%E9"),
        ("a%20b.jpg", "a b"),
        ("50%25AB.jpg", "50%25AB"),
    ],
)
def test_the_image_id_is_the_stem_of_the_last_component(image, image_id):
    assert image_id_of(image) == image_id


def test_a_name_with_a_percent_sign_meets_itself(table):
    predictions = read_predictions(table(SCORE, "x/50%25AB.jpg,ok,nv" + ZEROS))["image_id"]
    assert list(predictions) == list(read_truth(table("image_id,dx", "50%AB,nv")).rows["image_id"])


def test_na_is_a_name_like_any_other(table):
    assert list(read_truth(table("image_id,dx", "NA,nv", "null,mel")).rows["image_id"]) == [
        "NA",
        "null",
    ]
    assert list(read_predictions(table(SCORE, "NA.jpg,ok,nv" + ZEROS))["image_id"]) == ["NA"]


def test_an_isic_submission_predicts_its_greatest_column(table):
    path = table(ISIC, "a.b,0.1,0.2,0.7,0,0,0,0", "c,,,,,,,", "d,0.5,0,0,0.5,0,0,0")
    found = read_predictions(path)
    assert list(found["image_id"]) == ["a.b", "c", "d"]
    assert list(found["status"]) == ["ok", "failed", "ok"]
    assert found["prediction"].iloc[0] == "bcc"
    assert found["prediction"].iloc[2] == "akiec", "of equals, the first in the order of classes"
    assert list(found[list(P_COLUMNS)].iloc[0]) == [0, 0.7, 0, 0, 0.1, 0.2, 0]


def score_table(path, kind):
    p = (0.0, 0.1, 0.0, 0.0, 0.330704, 0.569296, 0.0)
    names = ("a/ISIC-1.jpg", "=1.jpg", "x/@b;-c.d.png", "caf\udce9.jpg", "NA.jpg")
    with open_table(path, kind) as write:
        for name in names:
            write(Row(name, "ok", "nv", p, 0.430704, "pillow", "openvino-fp32", "ab" * 32))
        write(Row("gone.jpg", "failed", reason="empty file"))
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "xlsx", "isic"])
def test_every_format_of_score_gives_the_same_predictions(kind, tmp_path):
    reference = read_predictions(score_table(tmp_path / "p.csv", "csv"))
    assert list(reference["status"]) == ["ok"] * 5 + ["failed"]
    assert list(reference["p_mel"])[:5] == [0.330704] * 5
    found = read_predictions(score_table(tmp_path / f"q.{kind}", kind))
    scored = reference["status"] == "ok"
    assert set(found["sha256"][scored]) == ({""} if kind == "isic" else {"ab" * 32})
    columns = reference.columns.drop(["sha256", "image"])
    pd.testing.assert_frame_equal(found[columns][scored], reference[columns][scored])
    assert list(found["image_id"]) == list(reference["image_id"])
    assert list(found["status"]) == list(reference["status"])


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl", "xlsx", "isic"])
def test_names_like_formulas_meet_their_truth(kind, tmp_path, table):
    predictions = read_predictions(score_table(tmp_path / f"p.{kind}", kind))
    truth = read_truth(table("image_id,dx", "ISIC-1,nv", "=1,nv", "@b;-c.d,nv", "NA,nv")).rows
    assert set(truth["image_id"]) <= set(predictions["image_id"])


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"status": "done"}, ["status 'done' in row 2", "ok or failed"]),
        ({"p_nv": 1.5}, ["p_nv '1.5' in row 2", "0 to 1"]),
        ({"p_nv": None}, ["p_nv '' in row 2"]),
        ({"image": None}, ["image '' in row 2", "a name in every row"]),
    ],
)
def test_json_lines_that_cannot_be_used_are_refused_by_name(tmp_path, changed, named):
    row = {"image": "p1/a.jpg", "status": "ok", "prediction": "nv", **dict.fromkeys(P_COLUMNS, 0.1)}
    path = tmp_path / "p.jsonl"
    rows = [row, {**row, "image": "b.jpg", **changed}]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    with pytest.raises(InputError) as refused:
        read_predictions(path)
    for words in (str(path), "wanted", "Next: hambatch score", *named):
        assert words in str(refused.value)


def test_failed_rows_may_be_empty(table):
    found = read_predictions(table(SCORE, "a.jpg,failed,,,,,,,,", "b.jpg,ok,mel" + ZEROS))
    assert list(found["status"]) == ["failed", "ok"]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([SCORE, "a.jpg,done,nv" + ZEROS], ["'done'", "ok or failed", "'a.jpg'"]),
        ([SCORE, "a.jpg,ok," + ZEROS], ["prediction ''", "'a.jpg'"]),
        ([SCORE, "a.jpg,ok,nv,0,0,0,0,0,0,1.5"], ["p_vasc '1.5'", "0 to 1", "'a.jpg'"]),
        ([SCORE, "a.jpg,ok,nv,0,-0.1,0,0,0,0,0"], ["p_bcc '-0.1'"]),
        ([SCORE, "a.jpg,ok,nv,0,nan,0,0,0,0,0"], ["p_bcc 'nan'"]),
        ([SCORE, "a.jpg,ok,nv,0,0,0"], ["p_df ''"]),
        ([ISIC, "a,0.5,,0,0,0,0,0"], ["NV ''"]),
        (["image_id,dx", "a,nv"], ["image_id, dx", "p_akiec"]),
    ],
)
def test_predictions_that_cannot_be_used_are_refused_by_name(table, lines, named):
    path = table(*lines)
    with pytest.raises(InputError) as refused:
        read_predictions(path)
    for words in (str(path), "wanted", "Next: ", *named):
        assert words in str(refused.value)


@pytest.mark.parametrize("read", [read_truth, read_predictions])
def test_what_is_no_table_is_refused(read, tmp_path):
    (tmp_path / "empty.csv").touch()
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x9f" * 9)
    (tmp_path / "preds.zip").write_bytes(b"no archive")
    for name in ("empty.jsonl", "empty.parquet"):
        (tmp_path / name).touch()
    for name in ("picture.jsonl", "picture.parquet"):
        (tmp_path / name).write_bytes((tmp_path / "picture.csv").read_bytes())
    (tmp_path / "folder.parquet").mkdir()
    for name in ("absent.csv", "absent.jsonl", "absent.parquet", *os.listdir(tmp_path), "."):
        with pytest.raises(InputError, match="Next: "):
            read(tmp_path / name)
