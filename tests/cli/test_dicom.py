"""`score` on DICOM: as the same picture in a JPEG; damaged files fail alone, and tell nothing."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pydicom import dcmread

from hambatch.cli import hambatch
from tests.faults.dicom_absences import ENCODINGS
from tests.faults.dicom_writing import encapsulated, with_identifiers, written
from tests.faults.soft_engine import write_soft_engine
from tests.pipelines.dicom.making import in_ybr, jpeg_of_samples, of_jpeg, skin
from tests.pipelines.odd import as_jpeg

Row = dict[str, str]

PICTURES = [skin(seed, 160, 120) for seed in range(3)]
TURNED = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
SAMPLES = in_ybr(PICTURES[0])

JPEGS = {
    "plain": as_jpeg(Image.fromarray(PICTURES[0])),
    "progressive": as_jpeg(Image.fromarray(PICTURES[1]), progressive=True),
    "turned": as_jpeg(Image.fromarray(PICTURES[2]), exif=TURNED),
    "cut": as_jpeg(Image.fromarray(PICTURES[0]))[:-300],
    "zeros": b"".join((as_jpeg(Image.fromarray(PICTURES[1]))[:-900], bytes(898), b"\xff\xd9")),
    "unmarked": jpeg_of_samples(SAMPLES),
}
BY_DALI = {"jpeg", "jpeg in fragments", "jpeg without a table"}
DAMAGED = 64


def with_names(encoding: str, seed: int) -> tuple[bytes, list[str]]:
    """Write a file full of identifiers; gives them too."""
    data = dcmread(io.BytesIO(ENCODINGS[encoding](Image.fromarray(PICTURES[0]))))
    secrets = with_identifiers(data, seed)
    return written(data, data.file_meta.TransferSyntaxUID), secrets


def damaged(k: int, whole: bytes) -> bytes:
    """Leave out bytes of a file, at its end or not, insert some, or change a bit."""
    rng, content = np.random.default_rng([26, k]), bytearray(whole)
    # Most of the file are pixels, or identifiers: half of the damage goes where neither is.
    pixels = content.find(b"\xe0\x7f\x10\x00")
    low, high = [(132, len(content)), (pixels - 400, pixels + 200)][int(rng.integers(2))]
    at, size = int(rng.integers(low, high)), int(rng.integers(1, 65))
    if k % 4 == 0:
        del content[at:]
    elif k % 4 == 1:
        del content[at : at + size]
    elif k % 4 == 2:
        content[at:at] = rng.bytes(size)
    else:
        content[at] ^= 1 << int(rng.integers(8))
    return bytes(content)


def write(place: Path) -> list[str]:
    """Write the folder; gives the identifiers in it."""
    place.mkdir()
    for name, jpeg in JPEGS.items():
        (place / f"{name}.jpg").write_bytes(jpeg)
        shape = PICTURES[0] if name != "turned" else PICTURES[2]
        (place / f"{name} dicom").write_bytes(of_jpeg(jpeg, shape, "YBR_FULL"))
    several = encapsulated([JPEGS["plain"], JPEGS["progressive"]], PICTURES[:2])
    (place / "several.dcm").write_bytes(several)
    for name, encode in ENCODINGS.items():
        (place / f"encoding {name}.dcm").write_bytes(encode(Image.fromarray(PICTURES[0])))
    secrets: list[str] = []
    wholes = []
    for k, name in enumerate(("explicit", "jpeg", "jpeg 2000", "rle", "lossless jpeg")):
        whole, own = with_names(name, k)
        wholes.append(whole)
        secrets += own
    for k in range(DAMAGED):
        (place / f"damaged {k:02}.dcm").write_bytes(damaged(k, wholes[k % len(wholes)]))
    return secrets


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Row], str, list[str]]:
    """Score the folder: rows by image, everything that was written or said, identifiers."""
    place = tmp_path_factory.mktemp("dicom")
    secrets = write(place / "images")
    engine, out = write_soft_engine(place / "soft"), place / "preds.csv"
    arguments = ["score", str(place / "images"), "--out", str(out), "--engine", str(engine)]
    result = CliRunner().invoke(hambatch, [*arguments, "--device", "cpu"])
    assert result.exit_code == 3, result.output
    outputs = [path.read_text() for path in place.iterdir() if path.is_file()]
    with out.open(newline="") as stream:
        rows = {row["image"]: row for row in csv.DictReader(stream)}
    assert json.loads((place / "preds.csv.run.json").read_text())["timing"]["workers_lost"] == []
    return rows, "\n".join([result.output, *outputs]), secrets


def of_row(row: Row) -> Row:
    """Give what the bytes of the picture decide."""
    return {name: cell for name, cell in row.items() if name not in ("image", "sha256")}


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_in_a_dicom_has_the_row_of_the_jpeg(run, name: str) -> None:
    rows, _, _ = run
    assert of_row(rows[f"{name} dicom"]) == of_row(rows[f"{name}.jpg"])
    assert rows[f"{name} dicom"]["sha256"] != rows[f"{name}.jpg"]["sha256"]


def test_the_pictures_here_are_of_every_outcome(run) -> None:
    rows, _, _ = run
    assert {rows[f"{name}.jpg"]["status"] for name in JPEGS} == {"ok", "failed"}


def test_each_frame_has_the_row_of_its_jpeg(run) -> None:
    rows, _, _ = run
    for frame, name in enumerate(("plain", "progressive"), 1):
        assert of_row(rows[f"several.dcm!/frame-{frame:04}"]) == of_row(rows[f"{name}.jpg"])


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_way_to_store_a_picture_gets_nearly_the_same_scores(run, name: str) -> None:
    rows, _, _ = run
    row, plain = rows[f"encoding {name}.dcm"], rows["encoding explicit.dcm"]
    assert row["decoder"] == ("dali-cpu" if name in BY_DALI else "pydicom")
    differences = [abs(float(row[n]) - float(plain[n])) for n in row if n.startswith("p_")]
    assert max(differences) < 0.05


def test_damaged_files_have_one_row_each_and_most_of_them_fail(run) -> None:
    rows, _, _ = run
    found = [rows[f"damaged {k:02}.dcm"] for k in range(DAMAGED)]
    failed = [row["reason"] for row in found if row["status"] == "failed"]
    assert len(failed) > DAMAGED / 2
    assert len(set(failed)) > 4


def test_no_identifier_reaches_an_output(run) -> None:
    _, outputs, secrets = run
    assert len(secrets) > 1000
    assert [secret for secret in secrets if secret in outputs] == []
