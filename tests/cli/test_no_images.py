"""What is no image gets no row, or a row that says what it is: two letters prove nothing."""

import csv
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes, png_bytes

NO_ROW = {
    "patients.csv": b"BMI,age\n31.5,54\n",
    "notes.txt": b"GIF89a is what an animation begins with; it is not scored.\n",
    "weights.db": b"MM\x00*" + bytes(60),
    "AUTORUN.INF": b"[autorun]\nopen=viewer.exe\n",
    "VERSION": b"1.2\n",
    "DICOMDIR": bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00\xc0\x00\x00\x00\x02\x00\x02\x00UI"
    b"\x14\x001.2.840.10008.1.3.10\x02\x00\x03\x00UI\x08\x001.2.3.4\x00",
}


def dicom(preamble: bytes) -> bytes:
    return preamble.ljust(128, b"\0") + b"DICM\x02\x00\x00\x00UL\x04\x00\xc0\x00\x00\x00"


def iso(*brands: bytes) -> bytes:
    size = struct.pack(">I", 12 + 4 * len(brands))
    return size + b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:]) + b"\0\0\0\x0emeta" * 5


def tiff(*entries: tuple[int, int, int, int], end: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory; ``end`` lies behind it."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(4) + end


BEHIND_THREE = 8 + 2 + 3 * 12 + 4
NIKON = [(0xFE, 4, 1, 1), (0x10F, 2, 18, BEHIND_THREE), (0x14A, 4, 1, 0)]

NAMED = {
    "phone.heic": (iso(b"heic", b"mif1", b"heic"), "heic"),
    "phone.jpg": (iso(b"avif", b"mif1", b"miaf"), "avif"),
    "film.jpg": (iso(b"isom", b"iso2", b"mp41"), "video"),
    "scan": (dicom(b""), "dicom"),
    "slide.dcm": (dicom(b"II*\0\x08\0\0\0"), "dicom"),
    "camera.nef": (tiff(*NIKON, end=b"NIKON CORPORATION\0"), "nef"),
    "camera.dng": (tiff((0xFE, 4, 1, 1), (0xC612, 1, 4, 1)), "dng"),
    "plain.tif": (tiff((0x100, 3, 1, 8)), "tiff"),
    "page.jpg": (b"\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>", "html"),
    "lfs.jpg": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d2",
        "git lfs pointer: the file itself was not fetched",
    ),
    "zeros.jpg": (bytes(5000), "only zero bytes: the file was never written whole"),
    "table.jpg": (b"BMI,age\n31.5,54\n", "text"),
    "noise.jpg": (np.random.default_rng(1).bytes(999), "unknown content"),
}


@pytest.fixture(scope="module")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """The rows by image, and the record, of a folder with all of them and three images."""
    place = tmp_path_factory.mktemp("no_images")
    (place / "images").mkdir()
    files = NO_ROW | {name: content for name, (content, _) in NAMED.items()}
    files |= {"good.jpg": jpeg_bytes(1), "photo.csv": png_bytes(2)}
    for name, content in files.items():
        (place / "images" / name).write_bytes(content)
    Image.new("RGB", (20, 20)).save(place / "images" / "bitmap.txt", format="BMP")
    arguments = ["score", str(place / "images"), "--out", str(place / "preds.csv")]
    arguments += ["--engine", str(tiny_engine), "--no-all-formats"]
    result = CliRunner().invoke(hambatch, arguments)
    assert result.exit_code == 3, result.output
    with (place / "preds.csv").open(newline="") as stream:
        rows = {row["image"]: row for row in csv.DictReader(stream)}
    return rows, json.loads((place / "preds.csv.run.json").read_text())


@pytest.mark.parametrize("name", NO_ROW)
def test_a_name_that_says_no_image_is_not_overruled_by_a_few_letters(scored, name: str) -> None:
    rows, record = scored
    assert name not in rows
    assert name in record["not_scored"]["others"]["names"]


def test_it_is_overruled_by_content_that_proves_to_be_an_image(scored) -> None:
    rows, _ = scored
    assert rows["photo.csv"]["status"] == "ok"
    assert rows["bitmap.txt"]["reason"] == "not a JPEG or PNG image (bmp)"
    assert len(rows) == len(NAMED) + 3


@pytest.mark.parametrize("name", NAMED)
def test_a_failed_row_names_what_its_file_is(scored, name: str) -> None:
    rows, _ = scored
    is_dicom = NAMED[name][1] == "dicom"
    wanted = "DICOM without pixels" if is_dicom else f"not a JPEG or PNG image ({NAMED[name][1]})"
    assert rows[name]["reason"] == wanted
