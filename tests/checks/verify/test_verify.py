"""`hambatch verify` finds each way in which a table can become wrong, and no other."""

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hambatch.checks.options import VerifyOptions
from hambatch.checks.verify.verify import verify
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.errors import InputError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_bytes
from tests.checks.verify.tampering import EVERY, HASHES, edit, found, record_anew
from tests.conftest import jpeg_bytes
from tests.earlier_table import as_before_checks


def test_a_true_table_is_found_true_in_one_line(table: Path, images: Path) -> None:
    verdict = verify(table, [images], "auto", EVERY)
    assert verdict.differences == []
    assert "\n" not in verdict.proven
    assert "26 rows" in verdict.proven
    assert "26 scored again" in verdict.proven


def test_other_sources_than_those_of_the_run_are_named(table: Path, images: Path) -> None:
    verdict = verify(table, [images, images / "a"], "auto", HASHES)
    of_the_run = json.loads(record_path(table).read_text())["source"]
    assert verdict.proven.endswith(f'; the record names other sources: "{of_the_run}"')
    assert "other sources" not in verify(table, [images], "auto", HASHES).proven


def test_a_table_from_before_images_were_checked_verifies(table: Path, images: Path) -> None:
    as_before_checks(table)
    assert found(table, images) == set()
    edit(table, lambda lines: lines.__setitem__(2, lines[2].replace(",ok,", ",failed,")))
    record_anew(table)
    assert found(table, images) != set()


def check_format(out: Path, images: Path) -> None:
    assert found(out, images) == set()
    (images / "picture_00.jpg").unlink()
    assert found(out, images, HASHES) == {("picture_00.jpg", "row without a file")}


def test_rows_that_an_earlier_version_gave_to_thumbnails_are_still_compared(
    table: Path, images: Path
) -> None:
    (images / "a").rename(images / ".thumbnails")
    edit(table, lambda lines: lines.__setitem__(slice(None), sorted_as(lines, ".thumbnails")))
    record_anew(table)
    assert found(table, images) == set()
    (images / ".thumbnails" / "picture_05.jpg").write_bytes(b"other")
    assert found(table, images, HASHES) == {(".thumbnails/picture_05.jpg", "file has changed")}


def sorted_as(lines: list[str], folder: str) -> list[str]:
    """A table's lines after its folder ``a`` got another name."""
    return [lines[0], *sorted(line.replace("a/", f"{folder}/", 1) for line in lines[1:])]


def test_the_name_of_what_is_no_image_may_be_an_earlier_versions(table: Path, images: Path) -> None:
    (images / "page.jpg").write_bytes(b"<html>")
    reason = "not a JPEG or PNG image (unknown content)"
    row = f"page.jpg,failed{',' * 13}{sha256_of_bytes(b'<html>')},{reason},,,review,not scored\n"
    edit(table, lambda lines: lines.append(row))
    edit(table, lambda lines: lines.__setitem__(slice(1, None), sorted(lines[1:])))
    record_anew(table)
    assert found(table, images) == set()


def test_jsonl_can_be_verified(images: Path, jsonl: Path) -> None:
    check_format(jsonl, images)


def test_parquet_can_be_verified(images: Path, tiny_engine: Path, tmp_path: Path) -> None:
    out = tmp_path / "preds.parquet"
    score([images], out, "auto", ScoreOptions(engine=str(tiny_engine)))
    check_format(out, images)


def test_a_changed_byte_of_a_file_is_found(table: Path, images: Path) -> None:
    path = images / "a" / "picture_05.jpg"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert found(table, images, HASHES) == {("a/picture_05.jpg", "file has changed")}


@pytest.mark.parametrize("place", range(200, 2400, 97))
def test_any_changed_byte_of_the_table_is_found(table: Path, images: Path, place: int) -> None:
    content = bytearray(table.read_bytes())
    content[place] ^= 1
    table.write_bytes(content)
    what = {what for _, what in found(table, images, HASHES)}
    assert "the table is not the one that was recorded" in what


def test_a_missing_row_is_found(table: Path, images: Path) -> None:
    edit(table, lambda lines: lines.__delitem__(5))
    record_anew(table)
    ((image, what),) = found(table, images, HASHES)
    assert what == "file without a row"
    assert image not in table.read_text()


def test_a_duplicated_row_is_found(table: Path, images: Path) -> None:
    edit(table, lambda lines: lines.insert(7, lines[3]))
    record_anew(table)
    with table.open() as stream:
        name = list(csv.DictReader(stream))[2]["image"]
    assert found(table, images, HASHES) == {(name, "image has several rows")}


def test_a_swapped_pair_of_rows_is_found(table: Path, images: Path) -> None:
    def swap(lines: list[str]) -> None:
        lines[4], lines[5] = lines[5], lines[4]

    edit(table, swap)
    record_anew(table)
    ((_, what),) = found(table, images, HASHES)
    assert what == "row is out of order"


def test_a_pair_of_rows_that_swapped_names_is_found_twice(table: Path, images: Path) -> None:
    def swap(lines: list[str]) -> None:
        (a, rest_a), (b, rest_b) = (lines[k].split(",", 1) for k in (4, 5))
        lines[4], lines[5] = f"{a},{rest_b}", f"{b},{rest_a}"

    edit(table, swap)
    record_anew(table)
    assert [what for _, what in sorted(found(table, images, HASHES))] == ["file has changed"] * 2


def test_predictions_that_belong_to_another_image_are_found_by_scoring_again(
    table: Path, images: Path
) -> None:
    def swap(lines: list[str]) -> None:
        a, b = (lines[k].split(",") for k in (4, 5))
        a[2:12], b[2:12] = b[2:12], a[2:12]
        lines[4], lines[5] = ",".join(a), ",".join(b)

    edit(table, swap)
    record_anew(table)
    what = [what for _, what in found(table, images)]
    assert len(what) == 2
    assert all("when scored again differ by" in each for each in what)


def test_another_engine_is_found(
    table: Path, images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_engine, other)
    write_manifest(other, replace(read_manifest(other), version="2"))
    options = VerifyOptions(engine=str(other))
    assert ("", "another engine: engine_json_sha256") in found(table, images, options)


def test_a_new_file_and_one_that_can_be_read_by_now_are_found(table: Path, images: Path) -> None:
    (images / "new.jpg").write_bytes(jpeg_bytes(1))
    (images / "nowhere").write_bytes(jpeg_bytes(2))
    assert found(table, images, HASHES) == {
        ("new.jpg", "file without a row"),
        ("nowhere", "file without a row"),
        ("gone.jpg", "file can be read now"),
    }


def test_a_table_without_a_record_cannot_be_verified(table: Path, images: Path) -> None:
    record_path(table).unlink()
    with pytest.raises(InputError, match="cannot be used as the record"):
        verify(table, [images], "auto", EVERY)


def test_a_table_that_is_not_there_cannot_be_verified(table: Path, images: Path) -> None:
    table.unlink()
    with pytest.raises(InputError, match="found no readable table"):
        verify(table, [images], "auto", EVERY)
    table.mkdir()
    with pytest.raises(InputError, match="found no readable table"):
        verify(table, [images], "auto", EVERY)


def test_a_folder_that_cannot_be_read_now_is_a_difference(
    table: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (images / "=locked").mkdir()
    real = os.scandir

    def refuse(path: object) -> object:
        if path == str(images / "=locked"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    (difference,) = verify(table, [images], "auto", HASHES).differences
    assert (difference.image, difference.what) == ("=locked", "folder cannot be read now")
    assert difference.found == "Permission denied"


def test_a_table_within_its_folder_is_no_file_without_a_row(images: Path, table: Path) -> None:
    out = images / "a" / "preds"
    shutil.copy(table, out)
    shutil.copy(record_path(table), record_path(out))
    assert found(out, images, HASHES) == set()
    shutil.copy(out, images / "preds")
    assert found(out, images, HASHES) == {("preds", "file without a row")}


def test_an_engine_given_by_path_is_found_from_any_folder(
    images: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_engine.parent)
    out = tmp_path / "preds.csv"
    score([images], out, "csv", ScoreOptions(engine=tiny_engine.name))
    assert json.loads(record_path(out).read_text())["options"]["engine"] == str(tiny_engine)
    monkeypatch.chdir(tmp_path)
    assert found(out, images, HASHES) == set()


def test_a_folder_called_like_an_installed_engine_is_not_taken_for_it(
    images: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hambatch.engines import loading as store

    installed = tmp_path / "installed"
    shutil.copytree(tiny_engine, installed / "small")
    monkeypatch.setattr(store, "engines_folder", lambda: installed)
    out = tmp_path / "preds.csv"
    score([images], out, "csv", ScoreOptions(engine="small"))
    assert json.loads(record_path(out).read_text())["options"]["engine"] == "small"
    other = tmp_path / "elsewhere" / "small"
    shutil.copytree(tiny_engine, other)
    write_manifest(other, replace(read_manifest(other), version="2"))
    monkeypatch.chdir(other.parent)
    assert found(out, images, HASHES) == set()


def test_a_submission_is_called_one(images: Path, tiny_engine: Path, tmp_path: Path) -> None:
    out = tmp_path / "preds.csv"
    score([images], out, "isic", ScoreOptions(engine=str(tiny_engine)))
    with pytest.raises(InputError, match="an ISIC submission, which can be neither verified nor"):
        verify(out, [images], "auto", HASHES)
