"""`hambatch verify` finds each way in which a table can stop being true, and no other."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hambatch.config import ScoreOptions, VerifyOptions
from hambatch.engines.manifest import read_manifest
from hambatch.engines.writing import write_manifest
from hambatch.errors import InputError
from hambatch.run_record import record_path
from hambatch.scoring import score
from hambatch.verification.verify import verify
from tests.conftest import jpeg_bytes

EVERY, HASHES = VerifyOptions(sample=100), VerifyOptions(sample=0)


@pytest.fixture(scope="module")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images` and their table, scored once; every test takes a copy."""
    place = tmp_path_factory.mktemp("scored")
    for sub in ("", "a"):
        (place / "images" / sub).mkdir(parents=True, exist_ok=True)
    for k in range(24):
        name = f"{'a/' if k % 3 else ''}picture_{k:02d}.jpg"
        (place / "images" / name).write_bytes(jpeg_bytes(k, width=64 + k))
    (place / "images" / "empty.jpg").touch()
    (place / "images" / "gone.jpg").symlink_to("nowhere")
    out = place / "preds.csv"
    score(place / "images", out, "csv", ScoreOptions(engine=str(tiny_engine)))
    return place


@pytest.fixture
def images(scored: Path, tmp_path: Path) -> Path:
    shutil.copytree(scored / "images", tmp_path / "images", symlinks=True)
    return tmp_path / "images"


@pytest.fixture
def table(scored: Path, tmp_path: Path) -> Path:
    for name in ("preds.csv", "preds.csv.run.json"):
        shutil.copy(scored / name, tmp_path / name)
    return tmp_path / "preds.csv"


def found(table: Path, source: Path, options: VerifyOptions = EVERY) -> set[tuple[str, str]]:
    return {(d.image, d.what) for d in verify(table, source, "auto", options).differences}


def edit(table: Path, change: Callable[[list[str]], None]) -> None:
    lines = table.read_text().splitlines(keepends=True)
    change(lines)
    table.write_text("".join(lines))


def record_anew(table: Path) -> None:
    """Let the record vouch for an edited table: what follows is found without its hash."""
    record = json.loads(record_path(table).read_text())
    record["output"]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    record_path(table).write_text(json.dumps(record))


def test_a_true_table_is_found_true_in_one_line(table: Path, images: Path) -> None:
    verdict = verify(table, images, "auto", EVERY)
    assert verdict.differences == []
    assert "\n" not in verdict.proven
    assert "26 rows" in verdict.proven
    assert "26 scored again" in verdict.proven


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_every_format_can_be_verified(
    images: Path, tiny_engine: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"preds{suffix}"
    score(images, out, "auto", ScoreOptions(engine=str(tiny_engine)))
    assert found(out, images) == set()
    (images / "picture_00.jpg").unlink()
    assert found(out, images, HASHES) == {("picture_00.jpg", "row without a file")}


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
    write_manifest(other, replace(read_manifest(other), temperature=2.0))
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
        verify(table, images, "auto", EVERY)
