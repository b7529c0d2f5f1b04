import pytest

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.report import format_report
from hambatch.evaluation.tables import read_predictions
from hambatch.sinks.columns import COLUMNS

TRUTH = "image_id,dx,lesion_id"

UNCHECKED = len(COLUMNS[COLUMNS.index("reason") + 1 :])
"""Cells about quality and risk, which are empty."""


def write_predictions(path, images, failed=()):
    """Every image of ``images`` (name to class) is predicted, with certainty."""
    lines = [",".join(COLUMNS)]
    for image, prediction in images.items():
        numbers = ["1.000000" if name == prediction else "0.000000" for name in CLASSES]
        cells = [image, "ok", prediction, "1.000000", *numbers, "0.5", "pillow", "x", "h", ""]
        lines.append(",".join(cells) + "," * UNCHECKED)
    lines += [f"{image},failed{',' * 13}not an image{',' * UNCHECKED}" for image in failed]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_truth(path, rows, header="image_id,dx"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_rows_meet_by_stem_whatever_their_order(tmp_path):
    predictions = write_predictions(tmp_path / "p.csv", {"part_1/b.jpg": "mel", "NA.jpg": "nv"})
    report = compare(predictions, write_truth(tmp_path / "t.csv", ["NA,nv", "b,mel"]))
    assert report["n"] == 2
    assert report["accuracy"] == 1
    assert report["intervals"]["grouped_by"] == "image"


def test_members_of_archives_meet_by_stem_and_copies_count_once(tmp_path):
    names = ("night.zip!/sub/a.jpg", "new/tapes.tar.gz!/b.jpg", "c.jpg", "c.jpg#2")
    predictions = write_predictions(tmp_path / "p.csv", dict.fromkeys(names, "nv"))
    rows = ["a,nv", "tapes/b.jpg,nv", "c.jpg,nv", "other/sub/a.jpg,mel"]
    report = compare(predictions, write_truth(tmp_path / "t.csv", rows))
    assert (report["n"], report["counts"]["copies_named"]) == (3, ["c.jpg#2"])
    assert report["counts"]["missing_named"] == ["other/sub/a.jpg"]


def test_lesions_that_the_predictions_carry_count_where_the_truth_has_none(tmp_path):
    path = write_predictions(tmp_path / "p.csv", {f"i{k}.jpg": "nv" for k in range(4)})
    header, *lines = path.read_text().splitlines()
    lines = [f"{line},{lesion}" for line, lesion in zip(lines, ("L1", "L1", "", "NA"), strict=True)]
    path.write_text("\n".join([f"{header},lesion_id", *lines]) + "\n")
    rows = [f"i{k},nv" for k in range(4)]
    intervals = compare(path, write_truth(tmp_path / "t.csv", rows))["intervals"]
    assert (intervals["grouped_by"], intervals["groups"]) == ("lesion", 3)
    truth = write_truth(tmp_path / "t.csv", [f"{row},{k}" for k, row in enumerate(rows)], TRUTH)
    assert compare(path, truth)["intervals"]["groups"] == 4, "the truth's own lesions come first"


def test_images_that_were_not_scored_are_counted_and_named(tmp_path):
    predictions = write_predictions(
        tmp_path / "p.csv", {"a.jpg": "nv", "stray.jpg": "nv"}, failed=["b.jpg"]
    )
    rows = ["a,nv", "b,nv", *(f"c{k},mel" for k in range(7))]
    report = compare(predictions, write_truth(tmp_path / "t.csv", rows))
    assert report["n"] == 1
    assert report["counts"] == {
        "truth": 9,
        "scored": 1,
        "failed": 1,
        "failed_named": ["b"],
        "missing": 7,
        "missing_named": ["c0", "c1", "c2", "c3", "c4"],
        "predictions_without_truth": 1,
    }
    text = format_report(report)
    assert "\nWARNING: only 1 of 9 images scored (11.1%)" in text
    assert "  1 failed: b\n  7 without a prediction: c0, c1, c2, c3, c4, ...\n" in text
    assert "predictions without a truth, not used: 1" in text


def test_nothing_in_common_is_an_error(tmp_path):
    truth = write_truth(tmp_path / "t.csv", ["a,nv"])
    with pytest.raises(InputError, match=r"1 without a row, such as 'a'(.|\n)*Next: "):
        compare(write_predictions(tmp_path / "p.csv", {"b.jpg": "nv"}), truth)
    with pytest.raises(InputError, match="1 failed"):
        compare(write_predictions(tmp_path / "p.csv", {}, failed=["a.jpg"]), truth)


def test_intervals_are_over_lesions_and_a_blank_lesion_is_its_own(tmp_path):
    images = {f"i{k}.jpg": "nv" for k in range(6)}
    rows = ["i0,L1,nv", "i1,L1,nv", "i2,L2,mel", "i3,L2,mel", "i4,,nv", "i5,,nv"]
    truth = write_truth(tmp_path / "t.csv", rows, "image_id,lesion_id,dx")
    report = compare(write_predictions(tmp_path / "p.csv", images), truth)
    assert report["intervals"]["grouped_by"] == "lesion"
    assert report["intervals"]["groups"] == 4
    assert "1000 resamples of 4 lesions" in format_report(report)


def test_the_same_files_give_the_same_report(tmp_path):
    predictions = write_predictions(tmp_path / "p.csv", {"a.jpg": "nv", "b.jpg": "mel"})
    truth = write_truth(tmp_path / "t.csv", ["a,nv", "b,nv"])
    assert compare(predictions, truth) == compare(predictions, truth)


def test_bare_figures_can_be_shown_without_counts_and_intervals(tmp_path):
    table = read_predictions(write_predictions(tmp_path / "p.csv", {"a.jpg": "nv"}))
    figures = evaluate(*2 * [table["prediction"].map(CLASSES.index).to_numpy()], _numbers(table))
    text = format_report(figures)
    assert text.startswith("1 images\n")
    assert "interval" not in text


def _numbers(table):
    return table[[f"p_{name}" for name in CLASSES]].to_numpy(float)
