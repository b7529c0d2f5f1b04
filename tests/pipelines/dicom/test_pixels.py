"""Pixels that no JPEG decoder of the fast lane takes, decoded by way of pydicom."""

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from hambatch.pipelines.colour_profile import ADOBE_GAMMA, ADOBE_RGB, matrix_profile
from hambatch.pipelines.dicom import pixels as lane
from hambatch.pipelines.dicom.opening import opened
from hambatch.pipelines.dicom.pixels import decoded as at_full_size
from hambatch.pipelines.slow_lane import NotAlone, SlowLane
from hambatch.sources.reading import UNLIMITED, Fetched
from hambatch.types import Failure
from tests.faults.dicom_absences import ENCODINGS, end_of_frame, jpeg_2000_of
from tests.faults.dicom_writing import (
    WRITINGS,
    compressed,
    described,
    encapsulated,
    native,
    written,
)
from tests.pipelines.dicom.making import decoded, fetched, in_rgb, in_ybr, reason_of, skin
from tests.pipelines.lanes import HOW, SPEC

# An odd number of bytes, so that padding is read over.
PICTURES = [skin(seed, 95, 71) for seed in (1, 2)]
LOSSY = {"jpeg", "jpeg in fragments", "jpeg without a table", "jpeg 2000 in layers", "palette"}


@pytest.mark.parametrize("name", sorted(ENCODINGS.keys() - LOSSY))
def test_a_picture_without_loss_is_the_one_that_was_put_in(name: str) -> None:
    content = ENCODINGS[name](Image.fromarray(PICTURES[0]))
    pixels, decoder = at_full_size(content, 0, UNLIMITED)
    np.testing.assert_array_equal(pixels, PICTURES[0])
    assert decoder == "pydicom"


@pytest.mark.parametrize("name", ["palette", "jpeg 2000 in layers"])
def test_a_picture_with_loss_is_nearly_the_one_that_was_put_in(name: str) -> None:
    pixels, _ = at_full_size(ENCODINGS[name](Image.fromarray(PICTURES[0])), 0, UNLIMITED)
    assert np.abs(pixels.astype(int) - PICTURES[0]).mean() < 3


@pytest.mark.parametrize("name", ["explicit", "big endian", "planar", "rle", "jpeg 2000"])
def test_each_frame_is_its_own_picture(name: str) -> None:
    content = WRITINGS[name](PICTURES)
    for number, picture in enumerate(PICTURES, 1):
        np.testing.assert_array_equal(at_full_size(content, number, UNLIMITED)[0], picture)
    assert reason_of(content).startswith(
        "DICOM of 2 frames: which one is meant is unknown; name it as in x.dcm!/frame-0001"
    )


@pytest.mark.parametrize("name", ["jpeg 2000", "lossless jpeg", "jpeg-ls", "rle"])
def test_a_planar_configuration_left_over_in_the_header_does_not_shuffle_colours(name: str) -> None:
    data = dcmread(io.BytesIO(ENCODINGS[name](Image.fromarray(PICTURES[0]))))
    for said in (0, 1):
        data.PlanarConfiguration = said
        content = written(data, data.file_meta.TransferSyntaxUID)
        np.testing.assert_array_equal(at_full_size(content, 0, UNLIMITED)[0], PICTURES[0])


def test_the_slow_lane_resizes_as_it_does_any_picture() -> None:
    pixels, decoder = decoded(WRITINGS["rle"](PICTURES[:1]))
    stream = io.BytesIO()
    Image.fromarray(PICTURES[0]).save(stream, "PNG")
    of_png = SlowLane(SPEC, HOW).decode(Fetched(0, stream.getvalue(), ""))
    assert not isinstance(of_png, Failure)
    np.testing.assert_array_equal(pixels, of_png[0])
    assert decoder == "pydicom"


@pytest.mark.parametrize("stored", [5, 8, 12])
def test_samples_of_other_than_eight_bits_are_scaled(stored: int) -> None:
    most = (1 << stored) - 1
    samples = np.rint(PICTURES[0] / 255 * most).astype("<u2")
    data = described(PICTURES[:1])
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, stored, stored - 1
    # What stands in the other bits means nothing.
    data.PixelData = (samples | (0xFFFF & ~most)).tobytes()
    data["PixelData"].VR = "OW"
    pixels, _ = at_full_size(written(data, ExplicitVRLittleEndian), 0, UNLIMITED)
    np.testing.assert_array_equal(pixels, np.rint(samples / most * 255))


def test_ybr_is_converted_sub_sampled_too() -> None:
    samples = in_ybr(skin(1, 96, 72))
    full = native(ExplicitVRLittleEndian, [samples], {"PhotometricInterpretation": "YBR_FULL"})
    pixels, _ = at_full_size(full, 0, UNLIMITED)
    np.testing.assert_array_equal(pixels, in_rgb(samples))
    data = dcmread(io.BytesIO(full))
    data.PhotometricInterpretation = "YBR_FULL_422"
    halved = samples.reshape(72, 48, 2, 3)
    pairs = np.stack([*halved[..., 0].transpose(2, 0, 1), *halved[..., 0, 1:].transpose(2, 0, 1)])
    data.PixelData = pairs.transpose(1, 2, 0).tobytes()
    pixels, _ = at_full_size(written(data, ExplicitVRLittleEndian), 0, UNLIMITED)
    assert np.abs(pixels.astype(int) - in_rgb(samples)).mean() < 3


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("meant", ["RGB", "YBR_FULL"])
def test_pixels_under_the_wrong_name_fail(syntax: str, meant: str) -> None:
    samples, said = (PICTURES[0], "YBR_FULL") if meant == "RGB" else (in_ybr(PICTURES[0]), "RGB")
    content = native(syntax, [samples]) if syntax == ExplicitVRLittleEndian else None
    data = dcmread(io.BytesIO(content or compressed(syntax, [samples])))
    data.PhotometricInterpretation = said
    assert "colours are ambiguous" in reason_of(written(data, syntax))
    data.PhotometricInterpretation = meant
    pixels, _ = at_full_size(written(data, syntax), 0, UNLIMITED)
    np.testing.assert_array_equal(pixels, samples if meant == "RGB" else in_rgb(samples))


@pytest.mark.parametrize(
    ("transformed", "said", "outcome"),
    [
        (1, "YBR_RCT", "RGB"),
        (1, "RGB", "RGB"),
        (1, "YBR_FULL", "ambiguous"),
        (0, "RGB", "RGB"),
        (0, "YBR_FULL", "ambiguous"),
        (0, "YBR_RCT", "ambiguous"),
    ],
)
def test_jpeg_2000_says_itself_whether_its_colours_are_transformed(
    transformed: int, said: str, outcome: str
) -> None:
    stream = jpeg_2000_of(Image.fromarray(PICTURES[0]), mct=transformed)
    content = encapsulated([stream], PICTURES[:1], JPEG2000Lossless, said)
    if outcome == "ambiguous":
        assert "colours are ambiguous" in reason_of(content)
    else:
        np.testing.assert_array_equal(at_full_size(content, 0, UNLIMITED)[0], PICTURES[0])


def test_a_whole_jp2_file_in_a_frame_is_read() -> None:
    stream = io.BytesIO()
    Image.fromarray(PICTURES[0]).save(stream, "JPEG2000", mct=1)
    content = encapsulated([stream.getvalue()], PICTURES[:1], JPEG2000Lossless, "YBR_RCT")
    np.testing.assert_array_equal(at_full_size(content, 0, UNLIMITED)[0], PICTURES[0])


def test_a_colour_profile_is_applied() -> None:
    tags = {"ICCProfile": matrix_profile(ADOBE_RGB, ADOBE_GAMMA)}
    pixels, decoder = decoded(native(ExplicitVRLittleEndian, PICTURES[:1], tags))
    stored, _ = decoded(native(ExplicitVRLittleEndian, PICTURES[:1]))
    assert decoder == "pydicom-icc"
    assert 2 < np.abs(pixels.astype(int) - stored).max()
    space = {"ColorSpace": "ADOBERGB"}
    named, _ = decoded(native(ExplicitVRLittleEndian, PICTURES[:1], space))
    np.testing.assert_array_equal(named, pixels)


REFUSED = {
    "DICOM is grey (MONOCHROME2): not colour": {
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
    },
    "DICOM in YBR_PARTIAL_420 is not supported": {"PhotometricInterpretation": "YBR_PARTIAL_420"},
    "DICOM in an unknown photometric interpretation is not supported": {
        "PhotometricInterpretation": "SMITH"
    },
    "DICOM of signed samples: which colours they are is unknown": {"PixelRepresentation": 1},
    "DICOM of 32 bits a sample, in 32, is not supported": {
        "BitsAllocated": 32,
        "BitsStored": 32,
        "HighBit": 31,
    },
    "DICOM of samples that are not in the lowest bits is not supported": {"BitsStored": 7},
    "damaged: DICOM in RGB of 4 samples a pixel": {"SamplesPerPixel": 4},
    "the header says 95 x 0 pixels": {"Rows": 0},
    "too narrow: 9 x 71 has an aspect of 7.8889, the limit is 4 (--max-aspect)": {"Columns": 9},
    "too large: 65000 x 65000 is 4225.0 megapixels, the limit is 1 (--max-megapixels)": {
        "Rows": 65000,
        "Columns": 65000,
    },
    "damaged: the number of frames of the DICOM cannot be read": {"NumberOfFrames": "0"},
    "incomplete: 20235 of 40470 bytes of pixels of the DICOM": {"NumberOfFrames": "2"},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_read_says_why(reason: str) -> None:
    content = native(ExplicitVRLittleEndian, PICTURES[:1], REFUSED[reason])
    limits = replace(UNLIMITED, max_pixels=1_000_000, max_aspect=4)
    found = reason_of(content, 1, limits)
    # The padding byte counts.
    assert found.replace("20236", "20235") == reason


def test_a_file_that_inflates_beyond_the_limit_fails_before_it_does() -> None:
    flat = native(DeflatedExplicitVRLittleEndian, [np.zeros((2000, 2000, 3), np.uint8)])
    assert len(flat) < 50_000
    limits = replace(UNLIMITED, max_bytes=1_000_000)
    assert reason_of(flat, limits=limits).startswith("DICOM too large, inflated: ")
    assert reason_of(flat).startswith("holds nothing: every pixel is 0, 0, 0")


def test_elements_of_a_thumbnail_that_got_out_of_their_sequence_fail_the_file() -> None:
    data = dcmread(io.BytesIO(native(ExplicitVRLittleEndian, PICTURES[:1])))
    icon = described([PICTURES[0][:64, :64]])
    del icon.SOPClassUID, icon.SOPInstanceUID
    icon.PixelData = PICTURES[0][:64, :64].tobytes()
    icon["PixelData"].VR = "OB"
    data.IconImageSequence = [icon]
    content = written(data, ExplicitVRLittleEndian)
    assert decoded(content)[1] == "pydicom"
    # The sequence says that it is empty, so the item's elements stand behind it.
    place = content.find(b"\x88\x00\x00\x02SQ")
    inside = content.find(b"\x28\x00\x02\x00", place)
    emptied = content[: place + 8] + bytes(4) + content[inside:]
    assert reason_of(emptied) == "damaged: the elements of the DICOM are not in order"


def test_a_file_that_lacks_a_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    content = WRITINGS["jpeg-ls"](PICTURES[:1])
    absent = {JPEGLSLossless: ("no such plugin", "pyjpegls", "JPEG-LS")}
    monkeypatch.setattr(lane, "PLUGINS", absent)
    assert reason_of(content) == "DICOM in JPEG-LS needs pyjpegls: pip install 'hambatch[dicom]'"


def test_big_endian_words_hold_their_bytes_the_other_way_round() -> None:
    data = dcmread(io.BytesIO(native(ExplicitVRBigEndian, [skin(1, 96, 72)])))
    swapped = np.frombuffer(data.PixelData, ">u2").astype("<u2").tobytes()
    data.PixelData = swapped
    data["PixelData"].VR = "OW"
    pixels, _ = at_full_size(written(data, ExplicitVRBigEndian), 0, UNLIMITED)
    np.testing.assert_array_equal(pixels, skin(1, 96, 72))


@pytest.mark.parametrize("whole", [True, False])
def test_a_warning_about_another_file_is_not_lost(stderr_file: Path, whole: bool) -> None:
    content = WRITINGS["rle"](PICTURES[:1])
    _, lacking = end_of_frame(np.random.default_rng(0), content)
    file, slow = opened(fetched(content if whole else lacking), UNLIMITED), SlowLane(SPEC, HOW)
    os.write(2, b"Corrupt JPEG data: premature end of data segment\n")
    with pytest.raises(NotAlone):
        slow.decode(file, alone=False)
    assert isinstance(slow.decode(file), Failure) != whole
