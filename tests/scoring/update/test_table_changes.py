"""What changed between two tables is said in words, one line an image."""

import csv
from collections.abc import Iterable
from pathlib import Path

import pytest

from hambatch.engines.classes import CLASSES
from hambatch.scoring.update.table_changes import ChangeCounts, write_changes
from hambatch.types import Row


def scored(image: str, sha256: str, prediction: str = "mel", **other: str) -> Row:
    p = tuple(float(name == prediction) for name in CLASSES)
    return Row(image, "ok", prediction, p, p[4], "dali-cpu", "openvino-fp32", sha256, **other)


def failed(image: str, reason: str, sha256: str = "") -> Row:
    return Row(image, "failed", sha256=sha256, reason=reason)


def changes(
    path: Path, before: Iterable[Row], after: Iterable[Row]
) -> tuple[dict[str, tuple[str, ...]], ChangeCounts]:
    counts = write_changes(path / "c.csv", before, after)
    with (path / "c.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["image"] for line in lines] == sorted(line["image"] for line in lines)
    wanted = ("change", "before", "prediction_before", "prediction")
    return {line["image"]: tuple(line[name] for name in wanted) for line in lines}, counts


def test_each_kind_of_change_has_its_word(tmp_path: Path) -> None:
    before = [
        scored("a.jpg", "1"),
        scored("b.jpg", "2"),
        failed("c.jpg", "too large: 9 MB"),
        scored("d.jpg", "4"),
        scored("e.jpg", "5"),
        failed("f.jpg", "empty file", "6"),
    ]
    after = [
        scored("a.jpg", "1"),
        scored("b.jpg", "7", "nv"),
        scored("c.jpg", "3", "bcc"),
        scored("e.jpg", "5", "df"),
        failed("f.jpg", "empty file", "6"),
        scored("new.jpg", "8"),
        scored("sub/d.jpg", "4"),
    ]
    found, counts = changes(tmp_path, before, after)
    assert found == {
        "b.jpg": ("changed", "", "mel", "nv"),
        "c.jpg": ("rescored", "", "", "bcc"),
        "e.jpg": ("rescored", "", "mel", "df"),
        "new.jpg": ("added", "", "", "mel"),
        "sub/d.jpg": ("moved", "d.jpg", "mel", "mel"),
    }
    assert counts == ChangeCounts(added=1, changed=1, moved=1, rescored=2)


def test_another_risk_of_the_same_scores_has_a_word_of_its_own(tmp_path: Path) -> None:
    before = [scored("a.jpg", "1", risk="routine"), scored("b.jpg", "2", risk="routine")]
    after = [scored("a.jpg", "1", risk="refer"), scored("b.jpg", "2", "nv", risk="refer")]
    found, counts = changes(tmp_path, before, after)
    assert {image: line[0] for image, line in found.items()} == {
        "a.jpg": "risk changed",
        "b.jpg": "rescored",
    }
    assert counts == ChangeCounts(rescored=1, risk_changed=1)
    with (tmp_path / "c.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [(line["risk_before"], line["risk"]) for line in lines] == [("routine", "refer")] * 2


def test_of_copies_each_that_went_is_paired_with_one_that_came(tmp_path: Path) -> None:
    before = [scored("a.jpg", "1"), scored("b.jpg", "1"), scored("kept.jpg", "2")]
    after = [scored("kept.jpg", "2"), *(scored(f"n{k}.jpg", "1") for k in range(3))]
    after.append(scored("z.jpg", "2"))
    found, counts = changes(tmp_path, before, after)
    assert {image: line[:2] for image, line in found.items()} == {
        "n0.jpg": ("moved", "a.jpg"),
        "n1.jpg": ("moved", "b.jpg"),
        "n2.jpg": ("added", ""),
        # Its original is still there.
        "z.jpg": ("added", ""),
    }
    assert (counts.added, counts.moved, counts.removed) == (2, 2, 0)


def test_files_that_could_not_be_read_are_no_copies_of_one_another(tmp_path: Path) -> None:
    found, _ = changes(tmp_path, [failed("a.jpg", "too large")], [failed("b.jpg", "too large")])
    assert {image: line[0] for image, line in found.items()} == {
        "a.jpg": "removed",
        "b.jpg": "added",
    }


@pytest.mark.parametrize("name", ["m\u00e4l.jpg", "caf\udce9.jpg", "=1.jpg"])
def test_odd_names_are_encoded_and_carried_cells_are_no_change(tmp_path: Path, name: str) -> None:
    rows = [scored(name, "1")]
    assert changes(tmp_path, rows, [scored(name, "1", carried=("lesion 7",))]) == (
        {},
        ChangeCounts(),
    )
    found, _ = changes(tmp_path, [], rows)
    assert next(iter(found)) in ("m\u00e4l.jpg", "caf%E9.jpg", "%3D1.jpg")


def test_of_a_file_that_moved_each_frame_is_the_same_frame_as_before(tmp_path: Path) -> None:
    # By name the frames of one file are in another order than those of two.
    before = [scored(f"x.dcm!/frame-000{k}", "1", name) for k, name in ((1, "mel"), (2, "nv"))]
    after = [scored("a.dcm!/frame-0002", "1", "nv"), scored("b.dcm!/frame-0001", "1", "mel")]
    found, counts = changes(tmp_path, before, after)
    assert found == {
        "a.dcm!/frame-0002": ("moved", "x.dcm!/frame-0002", "nv", "nv"),
        "b.dcm!/frame-0001": ("moved", "x.dcm!/frame-0001", "mel", "mel"),
    }
    assert counts == ChangeCounts(moved=2)
