"""Thumbnails, deleted files and snapshots get no row; how many they are is said and recorded."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes

KEPT = ("Thumbs/patient.jpg", "Trash/patient.jpg", "visit/a.jpg", "visit/b.jpg")

LEFT_OUT = {
    "visit/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg": "@eaDir",
    "visit/@eaDir/b.jpg/SYNOPHOTO_THUMB_M.jpg": "@eaDir",
    "@eaDir/c.jpg/SYNOPHOTO_THUMB_M.jpg": "@eaDir",
    "visit/.thumbnails/a.jpg": ".thumbnails",
    "visit/.tmb/a.jpg": ".tmb",
    "visit/__MACOSX/visit/c.jpg": "__MACOSX",
    ".Trash-1000/files/old.jpg": ".Trash-1000",
    "$Recycle.Bin/S-1-5/$RX.jpg": "$Recycle.Bin",
    "#recycle/old.jpg": "#recycle",
    "lost+found/inode.jpg": "lost+found",
    "#snapshot/daily/visit/a.jpg": "#snapshot",
    ".stversions/a.jpg": ".stversions",
    "visit/.trashed-1790000000-a.jpg": ".trashed-*",
}


def score(source: Path, out: Path, engine: Path) -> Result:
    arguments = ["score", str(source), "--out", str(out), "--engine", str(engine)]
    return CliRunner().invoke(hambatch, arguments)


def images_in(table: Path) -> list[str]:
    with table.open(newline="") as stream:
        return [row["image"] for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def run(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A folder as a NAS and several computers leave it, scored; the place, and what was said."""
    place = tmp_path_factory.mktemp("skipped")
    for k, name in enumerate((*KEPT, *LEFT_OUT)):
        path = place / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(k))
    return place, score(place / "images", place / "preds.csv", tiny_engine)


def test_they_get_no_row_and_a_patient_called_thumbs_does(run) -> None:
    place, result = run
    assert result.exit_code == 0, result.output
    assert images_in(place / "preds.csv") == list(KEPT)


def test_each_name_is_counted_in_the_summary_and_in_the_record(run) -> None:
    place, result = run
    for line in (
        "not scored: @eaDir (thumbnails): 3 files in 2 folders",
        "not scored: .Trash-1000 (deleted files): 1 file in 1 folder",
        "not scored: #snapshot (snapshots): 1 folder, files not counted",
        "not scored: .trashed-* (deleted files): 1 file",
        "name it as SOURCE",
    ):
        assert line in result.stderr
    found = json.loads((place / "preds.csv.run.json").read_text())["not_scored"]["skipped"]
    assert found.keys() == set(LEFT_OUT.values())
    assert found["@eaDir"] == {"what": "thumbnails", "folders": 2, "files": 3, "not_counted": 0}


def test_verify_lists_what_score_listed(run) -> None:
    place, result = run
    arguments = ["verify", str(place / "preds.csv"), str(place / "images"), "--sample", "0"]
    result = CliRunner().invoke(hambatch, arguments)
    assert result.exit_code == 0, result.output
    assert f"compared {len(KEPT)} rows" in result.stderr


def test_a_folder_of_nothing_else_is_refused_with_their_names(tmp_path, tiny_engine) -> None:
    (tmp_path / "images" / ".Trashes").mkdir(parents=True)
    (tmp_path / "images" / ".Trashes" / "a.jpg").write_bytes(jpeg_bytes(1))
    result = score(tmp_path / "images", tmp_path / "preds.csv", tiny_engine)
    assert ".Trashes (deleted files): 1 file in 1 folder" in str(result.exception)
