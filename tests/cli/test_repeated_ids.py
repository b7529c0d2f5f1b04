"""Several files of one image id: sidecars, thumbnails, copies, and different pictures."""

import json
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.errors import ExitCode, InputError
from tests.conftest import jpeg_bytes, png_bytes

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")

FILES = {
    "a.jpg": jpeg_bytes(1),
    "a.xmp": b"<x:xmpmeta/>",
    "b.jpg": jpeg_bytes(2),
    "b.aae": b"<plist/>",
    "c.jpg": jpeg_bytes(3),
    "c.sidecar": b"of a program that is not known",
    "part_1/d.jpg": jpeg_bytes(4),
    "part_2/d.jpg": jpeg_bytes(4),
    "e.jpg": jpeg_bytes(5),
    "backup/e.jpg": jpeg_bytes(5)[:-900],
}
"""One scored image of every id, or copies of the same bytes; never two pictures."""

STRANGERS = {"small/t.jpg": jpeg_bytes(8, width=40), "small/t.png": png_bytes(9)}
"""Two pictures of one id that no truth names."""


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def run(*arguments: object) -> object:
    return CliRunner().invoke(hambatch, [*map(str, arguments)])


@pytest.fixture(scope="module")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of all its files and the truth of five images."""
    folder = tmp_path_factory.mktemp("scored")
    images = write(folder / "images", FILES | STRANGERS)
    result = run("score", images, "--out", folder / "preds.csv", "--engine", tiny_engine)
    assert result.exit_code == ExitCode.SOME_IMAGES_FAILED, result.output
    (folder / "truth.csv").write_text("image_id,dx\na,nv\nb,mel\nc,nv\nd,bcc\ne,nv\n")
    return folder


def test_files_beside_an_image_do_not_stop_an_evaluation(scored: Path) -> None:
    result = run("evaluate", scored / "preds.csv", "--truth", scored / "truth.csv", "--json")
    assert result.exit_code == ExitCode.OK, result.exception
    counts = json.loads(result.stdout)["counts"]
    assert (counts["truth"], counts["scored"], counts["failed"]) == (5, 5, 0)
    assert counts["failed_passed_over_named"] == ["backup/e.jpg", "c.sidecar"]
    assert counts["copies_named"] == ["part_2/d.jpg"]
    assert counts["predictions_without_truth"] == 2
    printed = run("evaluate", scored / "preds.csv", "--truth", scored / "truth.csv").stdout
    assert "failed rows beside a scored one of the same image_id, not counted: 2" in printed


def test_two_pictures_of_an_id_of_the_truth_are_refused_by_their_names(scored: Path) -> None:
    truth = scored / "more.csv"
    truth.write_text("image_id,dx\na,nv\nt,mel\n")
    result = run("evaluate", scored / "preds.csv", "--truth", truth)
    assert isinstance(result.exception, InputError)
    for words in ("of different bytes", "t is small/t.jpg, small/t.png", "Next: "):
        assert words in str(result.exception)


def test_sidecars_get_no_row(scored: Path) -> None:
    table = (scored / "preds.csv").read_text()
    assert not [name for name in ("a.xmp", "b.aae") if name in table]
    assert "c.sidecar,failed" in table
    survey = json.loads((scored / "preds.csv.run.json").read_text())["not_scored"]
    assert survey["others"]["names"] == ["a.xmp", "b.aae"]


def test_a_submission_has_one_row_for_every_id(tiny_engine: Path, tmp_path: Path) -> None:
    images = write(tmp_path / "images", FILES)
    out = tmp_path / "submission.csv"
    result = run("score", images, "--out", out, "--format", "isic", "--engine", tiny_engine)
    assert result.exit_code == ExitCode.SOME_IMAGES_FAILED, result.exception
    rows = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == ["a", "b", "c", "e", "d"]
    assert all(all(row) for row in rows)
    assert "no row in the submission: 3 files whose image id another file has" in result.stderr


def test_different_pictures_of_one_id_are_refused_before_anything_is_scored(
    tiny_engine: Path, tmp_path: Path
) -> None:
    composed, apart = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    for number, (one, other) in enumerate((("x/t.jpg", "y/t.png"), (composed, apart))):
        images = write(tmp_path / str(number), {one: jpeg_bytes(1), other: png_bytes(2)})
        out = tmp_path / f"{number}.csv"
        result = run("score", images, "--out", out, "--format", "isic", "--engine", tiny_engine)
        assert isinstance(result.exception, InputError)
        assert "different images have one image id" in str(result.exception)
        assert all(name in str(result.exception) for name in (one, other))
        assert not list(tmp_path.glob("*.csv*"))


def test_a_truth_may_name_files_and_an_id_of_another_case_is_not_taken(tmp_path: Path) -> None:
    p = ",".join("1" if name == "nv" else "0" for name in CLASSES)
    header = ",".join(["image", "status", "prediction", *(f"p_{name}" for name in CLASSES)])
    rows = [f"{name},ok,nv,{p}" for name in ("x/ISIC_1.jpg", "ISIC_2.jpg", "isic_3.jpg", "4.b.png")]
    (tmp_path / "p.csv").write_text("\n".join([header, *rows]) + "\n")
    named = ("ISIC_1.JPG", "images\\ISIC_2.png", "ISIC_3", "4.b")
    rows = [f"{name},nv" for name in named]
    (tmp_path / "t.csv").write_text("\n".join(["image_id,dx", *rows]) + "\n")
    result = run("evaluate", tmp_path / "p.csv", "--truth", tmp_path / "t.csv", "--json")
    counts = json.loads(result.stdout)["counts"]
    assert (counts["scored"], counts["missing_named"]) == (3, ["ISIC_3"])
    assert counts["other_case_named"] == ["ISIC_3"]


def test_an_image_of_another_folder_than_the_truth_names_is_another_image(tmp_path: Path) -> None:
    p = ",".join("1" if name == "nv" else "0" for name in CLASSES)
    header = ",".join(["image", "status", "prediction", *(f"p_{name}" for name in CLASSES)])
    images = ("site_b/1.jpg", "site_a/2.jpg", "site_a/3.jpg")
    (tmp_path / "p.csv").write_text("\n".join([header, *(f"{n},ok,nv,{p}" for n in images)]) + "\n")
    named = ("site_a/1.jpg", "data/site_a/2.jpg", "C:\\site_a\\3")
    rows = [f"{name},nv" for name in named]
    (tmp_path / "t.csv").write_text("\n".join(["image_id,dx", *rows]) + "\n")
    result = run("evaluate", tmp_path / "p.csv", "--truth", tmp_path / "t.csv", "--json")
    counts = json.loads(result.stdout)["counts"]
    assert (counts["scored"], counts["missing_named"]) == (2, ["site_a/1.jpg"])


def test_a_truth_of_other_ids_is_refused_with_one_of_each_side(tmp_path: Path) -> None:
    p = ",".join("1" if name == "nv" else "0" for name in CLASSES)
    header = ",".join(["image", "status", "prediction", *(f"p_{name}" for name in CLASSES)])
    (tmp_path / "p.csv").write_text(f"{header}\n007.jpg,ok,nv,{p}\n")
    # A spreadsheet took the zeros for those of a number.
    (tmp_path / "t.csv").write_text("image_id,dx\n7,nv\n")
    result = run("evaluate", tmp_path / "p.csv", "--truth", tmp_path / "t.csv")
    assert "such as '7'), but images such as '007.jpg'" in str(result.exception)
