"""One file at a time: right, or failed with a reason, and never silently damaged."""

import os

import numpy as np
import pytest

from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.pillow_lane import decode
from hambatch.pipelines.slow_lane import NotAlone, SlowLane
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.types import Failure
from tests.conftest import jpeg_bytes, png_bytes
from tests.pipelines.lanes import HOW, SPEC
from tests.pipelines.odd import (
    as_jpeg,
    chunk,
    cut_in_the_samples,
    picture,
    raw_png,
    with_bytes,
    with_hole,
    with_junk_in_the_header,
    with_size,
)

LENIENT = Limits(UNLIMITED.max_bytes, UNLIMITED.max_pixels, salvage_truncated=True)

pytestmark = pytest.mark.usefixtures("stderr_file")


def outcome(content: bytes, limits: Limits = UNLIMITED, **how: bool):
    return SlowLane(SPEC, HOW, limits, **how).decode(Fetched(5, content, "hash"))


def reason(content: bytes, limits: Limits = UNLIMITED, **how: bool) -> str:
    found = outcome(content, limits, **how)
    assert isinstance(found, Failure), found[1]
    assert (found.index, found.sha256) == (5, "hash")
    assert "\n" not in found.reason
    return found.reason


GOOD = as_jpeg(picture())


@pytest.mark.parametrize("content", [GOOD, GOOD + b"tail", GOOD + bytes(5000), png_bytes(1)])
def test_what_follows_the_end_changes_nothing(content: bytes) -> None:
    pixels, decoder = outcome(content)
    assert decoder == "dali-cpu"
    assert np.abs(pixels.astype(int) - decode(content, SPEC, HOW)).max() <= 1


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("damage", [cut_in_the_samples, with_hole])
def test_a_jpeg_whose_samples_run_out_is_damaged(damage, progressive: bool) -> None:
    assert reason(damage(as_jpeg(picture(), progressive=progressive))).startswith(
        "damaged: premature end of data segment"
    )


def test_a_header_that_claims_another_height_is_damage() -> None:
    assert "damaged: premature end" in reason(with_size(GOOD, 300, 260))
    assert "extraneous bytes before marker 0xd9" in reason(with_size(GOOD, 300, 96))


def test_a_header_that_only_pillow_forgives_is_pillows_if_its_samples_are_whole() -> None:
    pixels, decoder = outcome(with_junk_in_the_header(GOOD))
    assert decoder == "pillow"
    np.testing.assert_array_equal(pixels, decode(GOOD, SPEC, HOW))
    damaged = with_junk_in_the_header(cut_in_the_samples(GOOD))
    assert reason(damaged) == "damaged: premature end of data segment"


def test_a_warning_about_the_header_alone_is_no_damage() -> None:
    version = GOOD.index(b"JFIF") + 5
    pixels, decoder = outcome(with_bytes(GOOD, version, b"\x09"))
    assert decoder == "dali-cpu"
    np.testing.assert_array_equal(pixels, outcome(GOOD)[0])
    # libjpeg prints the first warning only: the harmless one must not hide the other.
    assert "damaged" in reason(with_bytes(cut_in_the_samples(GOOD), version, b"\x09"))


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("make", [jpeg_bytes, png_bytes])
def test_a_cut_file_fails_unless_leniency_is_asked_for_and_says_so(make, kept: float) -> None:
    whole = make(1, 300, 224)
    start = whole.index(b"\xff\xda" if make is jpeg_bytes else b"IDAT") + 30
    cut = whole[: start + int(kept * (len(whole) - start))]
    assert reason(cut).startswith("cannot be decoded: ")
    pixels, decoder = outcome(cut, LENIENT)
    assert decoder == "pillow-truncated"
    top = slice(0, int(224 * kept * 0.5))
    assert np.abs(pixels[top].astype(int) - outcome(whole)[0][top]).mean() < 2
    # The leniency ends with the file.
    assert reason(cut).startswith("cannot be decoded: ")


def test_leniency_is_for_cut_files_not_for_damaged_ones() -> None:
    for content in (cut_in_the_samples(GOOD), with_hole(GOOD), b"\xff\xd8\xffgarbage"):
        assert reason(content, LENIENT) == reason(content)


def test_a_png_whose_checksum_is_wrong_fails() -> None:
    whole = png_bytes(1)
    middle = len(whole) // 2
    assert reason(with_bytes(whole, middle, bytes([whole[middle] ^ 1])))
    short = raw_png(np.zeros((50, 50, 3)), 8, 2).replace(b"\0\0\0\x32", b"\0\0\0\x33", 1)
    assert reason(short)


def test_a_bomb_behind_an_unreadable_header_is_never_decoded() -> None:
    bomb = with_junk_in_the_header(with_size(GOOD, 60_000, 60_000))
    assert "60000 x 60000 is 3600.0 megapixels" in reason(bomb, Limits(10**9, 10**8))


def test_pillows_own_limit_does_not_count() -> None:
    assert "damaged" in reason(with_junk_in_the_header(with_size(GOOD, 20_000, 20)))
    from PIL import Image

    assert Image.MAX_IMAGE_PIXELS is None


def test_orientation_in_a_text_chunk_is_pillows() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    profile = b"\nexif\n%8d\n%s\n" % (len(exif), exif.hex().encode())
    text = chunk(b"tEXt", b"Raw profile type exif\0" + profile)
    samples = np.asarray(picture())
    pixels, decoder = outcome(raw_png(samples, 8, 2, text))
    assert decoder == "pillow"
    upright = raw_png(np.rot90(samples, -1), 8, 2)
    np.testing.assert_array_equal(pixels, decode(upright, SPEC, HOW))


class WrongAnswer(DaliLane):
    """Answers for another file."""

    def collect(self):
        indices, images = super().collect()
        return indices + 1, images


def test_an_answer_for_another_file_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hambatch.pipelines.slow_lane.DaliLane", WrongAnswer)
    assert reason(GOOD).startswith("damaged: no two decoders agree")
    assert outcome(png_bytes(1))[1] == "pillow"


def test_a_warning_while_others_decode_is_assigned_to_no_file_yet() -> None:
    salvage = SlowLane(SPEC, HOW)
    with pytest.raises(NotAlone):
        salvage.decode(Fetched(0, cut_in_the_samples(GOOD), ""), alone=False)
    pixels, _ = salvage.decode(Fetched(0, GOOD, ""), alone=False)
    np.testing.assert_array_equal(pixels, outcome(GOOD)[0])


def test_a_warning_of_another_file_survives_a_dicom_that_fails() -> None:
    pytest.importorskip("pydicom")
    salvage = SlowLane(SPEC, HOW)
    os.write(2, b"Corrupt JPEG data: premature end of data segment\n")
    no_pixels = bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0\0\0\0\0"
    with pytest.raises(NotAlone):
        salvage.decode(Fetched(0, no_pixels, ""), alone=False)
    assert isinstance(salvage.decode(Fetched(0, no_pixels, ""), alone=True), Failure)


def test_without_dali_pillow_decodes_and_its_refusals_are_reasons() -> None:
    assert outcome(GOOD, with_dali=False)[1] == "pillow"
    assert "truncated" in reason(GOOD[:-500], with_dali=False)
    assert outcome(GOOD[:-500], LENIENT, with_dali=False)[1] == "pillow-truncated"
