"""WebP, TIFF, BMP, GIF, JPEG 2000, HEIC and AVIF are scored like JPEG and PNG."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from tests.pipelines.formats.written import LOSSLESS, LOSSY, PICTURE
from tests.pipelines.odd import as_png

Rows = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def rows(graded_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Every file beside its PNG, scored in one folder; one has the suffix of a JPEG."""
    place = tmp_path_factory.mktemp("formats")
    images, out = place / "images", place / "preds.csv"
    images.mkdir()
    for name, (image, content) in LOSSLESS.items():
        (images / name).write_bytes(content)
        (images / f"{name}.png").write_bytes(as_png(image))
    for name, encode in LOSSY.items():
        (images / name).write_bytes(encode(PICTURE))
    (images / "webp.jpg").write_bytes(LOSSLESS["lossless.webp"][1])
    arguments = ["score", str(images), "--out", str(out), "--engine", str(graded_engine)]
    result = CliRunner().invoke(hambatch, arguments)
    assert result.exit_code == 0, result.output
    with out.open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def scores(row: dict[str, str]) -> list[str]:
    return [value for name, value in row.items() if name.startswith("p_")]


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_file_has_the_probabilities_of_its_png_to_the_last_digit(
    rows: Rows, name: str
) -> None:
    row, twin = rows[name], rows[f"{name}.png"]
    assert scores(row) == scores(twin)
    assert (row["decoder"], twin["decoder"]) == ("pillow", "dali-cpu")


@pytest.mark.parametrize("name", [*LOSSY, "webp.jpg"])
def test_every_other_file_is_scored_whatever_its_suffix(rows: Rows, name: str) -> None:
    decoder = rows[name]["decoder"]
    assert decoder == ("pillow-heif" if name.endswith("heic") else "pillow")
