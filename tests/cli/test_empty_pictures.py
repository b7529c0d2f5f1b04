"""`score` on pictures that hold nothing: failed rows, each with its reason."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes, png_bytes
from tests.earlier_table import as_before_checks


def flat(
    form: str, mode: str, colour: object, size: tuple[int, int] = (600, 450), **options: object
) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size, colour).save(stream, form, **options)
    return stream.getvalue()


ONE = "holds nothing: every pixel is {} (red, green, blue)"

EMPTY = {
    "dot.png": (png_bytes(1, 1, 1), "too small: 1 x 1, the limit is 28 (--min-side)"),
    "line.jpg": (jpeg_bytes(2, 65_000, 1), "too small: 65000 x 1, the limit is 28 (--min-side)"),
    "ribbon.jpg": (jpeg_bytes(3, 20_000, 2), "too small: 20000 x 2, the limit is 28 (--min-side)"),
    "icon.png": (png_bytes(4, 27, 200), "too small: 27 x 200, the limit is 28 (--min-side)"),
    "strip.jpg": (
        jpeg_bytes(5, 400, 40),
        "too narrow: 400 x 40 has an aspect of 10, the limit is 8 (--max-aspect)",
    ),
    "upright strip.jpg": (
        jpeg_bytes(5, 40, 321),
        "too narrow: 40 x 321 has an aspect of 8.025, the limit is 8 (--max-aspect)",
    ),
    "black.png": (flat("PNG", "RGB", (0, 0, 0)), ONE.format("0, 0, 0")),
    "white.jpg": (flat("JPEG", "RGB", (255, 255, 255)), ONE.format("255, 255, 255")),
    "lens cap.jpg": (flat("JPEG", "L", 9, (28, 28)), ONE.format("9, 9, 9")),
    "transparent.png": (flat("PNG", "RGBA", (0, 0, 0, 0)), ONE.format("0, 0, 0")),
}

LARGE = {
    "not compressed.png": (flat("PNG", "RGB", (7, 8, 9), compress_level=0), ONE.format("7, 8, 9")),
    "restarts.jpg": (
        flat("JPEG", "RGB", (0, 0, 0), subsampling=0, restart_marker_blocks=1),
        ONE.format("0, 0, 0"),
    ),
}
"""One colour in as many bytes as a picture may have."""

PICTURES = {
    "lesion.jpg": jpeg_bytes(6),
    "smallest published.png": png_bytes(7, 28, 28),
    "thumbnail.jpg": jpeg_bytes(8, 84, 84),
    "wide.jpg": jpeg_bytes(9, 320, 40),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "images"
    folder.mkdir()
    for name, content in (PICTURES | {name: made for name, (made, _) in EMPTY.items()}).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def scored(images: Path, tiny_engine: Path) -> Path:
    run(images, images.parent / "preds.csv", tiny_engine)
    return images.parent / "preds.csv"


def run(images: Path, out: Path, engine: Path, *more: str) -> str:
    arguments = ["score", str(images), "--out", str(out), "--engine", str(engine), *more]
    result = CliRunner().invoke(hambatch, [*arguments, "--device", "cpu"])
    return f"{result.output}{result.exception or ''}"


def rows(table: Path) -> dict[str, dict[str, str]]:
    with table.open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize("name", EMPTY)
def test_a_picture_that_holds_nothing_is_a_failed_row(scored: Path, name: str) -> None:
    row = rows(scored)[name]
    assert (row["status"], row["reason"]) == ("failed", EMPTY[name][1])


def test_one_colour_is_noticed_in_a_file_of_any_size(tiny_engine: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name, (content, _) in LARGE.items():
        (images / name).write_bytes(content)
    (images / "lesion.jpg").write_bytes(PICTURES["lesion.jpg"])
    run(images, tmp_path / "preds.csv", tiny_engine)
    found = rows(tmp_path / "preds.csv")
    assert {name: found[name]["reason"] for name in LARGE} == {
        name: reason for name, (_, reason) in LARGE.items()
    }
    assert found["lesion.jpg"]["decoder"] == "dali-cpu"


@pytest.mark.parametrize("name", PICTURES)
def test_a_small_or_wide_picture_is_scored(scored: Path, name: str) -> None:
    assert rows(scored)[name]["status"] == "ok"


def test_a_retry_with_stricter_limits_is_refused(
    images: Path, scored: Path, tiny_engine: Path
) -> None:
    stricter = ("--min-side", "29", "--max-aspect", "7")
    said = run(images, scored, tiny_engine, "--retry-failed", *stricter)
    assert "max_aspect was 8, is 7; min_side was 28, is 29" in said
    assert "Next: give --max-aspect 8 or higher, --min-side 28 or lower" in said


def test_limits_beyond_the_sentinels_refuse_images_alone(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    limits = ("--min-side", "5000", "--max-aspect", "1", "--max-megabytes", "0.1")
    out = tmp_path / "preds.csv"
    run(images, out, tiny_engine, *limits)
    assert {row["status"] for row in rows(out).values()} == {"failed"}


@pytest.fixture(scope="module")
def unlimited(images: Path, scored: Path, tiny_engine: Path) -> Path:
    """A table as it was before there were these limits: a retry scored what they refused."""
    table = images.parent / "unlimited.csv"
    for suffix in ("", ".run.json"):
        shutil.copy(f"{scored}{suffix}", f"{table}{suffix}")
    looser = ("--min-side", "1", "--max-aspect", "65000")
    run(images, table, tiny_engine, "--retry-failed", *looser)
    return table


def test_looser_limits_let_pictures_pass_but_not_empty_ones(unlimited: Path) -> None:
    found = rows(unlimited)
    failed = {name for name in EMPTY if found[name]["status"] == "failed"}
    # The one pixel of the first has one colour.
    assert failed == {"dot.png", "black.png", "white.jpg", "lens cap.jpg", "transparent.png"}


def test_a_record_from_before_these_limits_verifies_and_is_not_retried(
    images: Path, unlimited: Path, tiny_engine: Path
) -> None:
    as_before_checks(unlimited)
    record = json.loads(Path(f"{unlimited}.run.json").read_text())
    del record["fingerprint"]["pipeline"]
    for part in (record["options"], record["fingerprint"]["limits"]):
        del part["min_side"], part["max_aspect"]
    Path(f"{unlimited}.run.json").write_text(json.dumps(record))
    result = CliRunner().invoke(hambatch, ["verify", str(unlimited), str(images)])
    assert result.exit_code == 0, result.output
    said = run(images, unlimited, tiny_engine, "--retry-failed")
    assert "its rows were made by the rules 1 of decoding" in said
    assert "add --overwrite" in said
