"""What the scans of a JPEG leave out is said, of the files of all encoders nothing."""

import io
from pathlib import Path

import pytest
from PIL import Image

from hambatch.pipelines.header import refusal
from hambatch.pipelines.jpeg_scans import MOST_SCANS, lacking_scans
from hambatch.pipelines.slow_lane import SlowLane
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.types import Failure
from tests.conftest import REPOSITORY
from tests.faults.jpeg_absences import Part, parts_of, written
from tests.faults.jpeg_parts import SOS
from tests.faults.jpeg_writing import JPEG_ENCODINGS
from tests.pipelines.lanes import HOW, SPEC
from tests.pipelines.odd import as_jpeg, picture, with_junk_in_the_header

PROGRESSIVE = as_jpeg(picture(), progressive=True)
FIRST_SCAN = written(parts_of(PROGRESSIVE)[:7])


def without_scan(content: bytes, number: int) -> bytes:
    parts = parts_of(content)
    scans = [part for part in parts if part.marker == SOS]
    return written([part for part in parts if part is not scans[number]])


@pytest.mark.parametrize("name", JPEG_ENCODINGS)
def test_an_intact_file_lacks_nothing(name: str) -> None:
    assert lacking_scans(JPEG_ENCODINGS[name](picture(2, 90, 70))) == ""


def test_every_scan_of_a_progressive_file_is_missed() -> None:
    scans = [part for part in parts_of(PROGRESSIVE) if part.marker == SOS]
    missed = [lacking_scans(without_scan(PROGRESSIVE, k)) for k in range(len(scans))]
    assert all(reason.startswith("incomplete: ") for reason in missed)
    assert missed[0] == "incomplete: progressive JPEG without coefficient 0 of component 1 of 3"
    # A bit is of no use without the one before it.
    assert "the last bits (2) of coefficients 1 to 63 of component 1" in missed[5]


@pytest.mark.parametrize("with_dali", [True, False])
@pytest.mark.usefixtures("stderr_file")
def test_neither_garbage_nor_leniency_hides_absent_scans(with_dali: bool) -> None:
    lenient = Limits(UNLIMITED.max_bytes, UNLIMITED.max_pixels, salvage_truncated=True)
    lane = SlowLane(SPEC, HOW, lenient, with_dali=with_dali)
    for content in (FIRST_SCAN, with_junk_in_the_header(FIRST_SCAN)):
        found = lane.decode(Fetched(0, content, ""))
        assert isinstance(found, Failure)
        assert found.reason.startswith("incomplete: progressive JPEG without coefficients 1 to 63")


def test_a_jpeg_has_an_end_marker_behind_its_pixels() -> None:
    assert lacking_scans(b"\x89PNG\r\n\x1a\n") == ""
    for length in (*range(3, len(FIRST_SCAN), 97), len(FIRST_SCAN) - 2):
        assert "without an end marker" in lacking_scans(FIRST_SCAN[:length])


def test_a_second_image_does_not_stand_in_for_the_first() -> None:
    assert "without an image" in lacking_scans(b"\xff\xd8\xff\xd9" + PROGRESSIVE)
    assert lacking_scans(PROGRESSIVE + FIRST_SCAN) == ""


def test_scans_without_end_are_not_looked_at() -> None:
    parts = parts_of(PROGRESSIVE)
    scan = Part(SOS, parts[6].segment)
    many = written([*parts, *[scan] * MOST_SCANS])
    assert "more than 200 scans" in lacking_scans(many)
    # Before any of them is decoded.
    assert "more than 200 scans" in refusal(many, UNLIMITED)


@pytest.mark.data
def test_every_odd_and_every_progressive_picture_at_hand_lacks_nothing() -> None:
    data = REPOSITORY.parent / "shared" / "data"
    if not data.is_dir():
        pytest.skip(f"{data} is missing")
    suites = [p for p in sorted((data / "odd_images").rglob("*")) if p.is_file()]
    odd = {path.name: reason for path in suites if (reason := lacking_scans(path.read_bytes()))}
    # Files that were cut off, most of them by fuzzers: no decoder takes one for whole.
    assert set(odd.values()) == {
        "incomplete: JPEG without an end marker behind its pixels",
        "damaged: a Huffman table of the JPEG holds a symbol twice",
    }
    for path in sorted((data / "ham10000").rglob("*.jpg"))[::200]:
        assert lacking_scans(path.read_bytes()) == ""
        assert lacking_scans(as_progressive(path)) == ""


def as_progressive(path: Path) -> bytes:
    stream = io.BytesIO()
    with Image.open(path) as image:
        image.save(stream, format="JPEG", progressive=True)
    return stream.getvalue()
