"""A JPEG in a DICOM file goes to DALI as the file that it is, in the colours that are meant."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import JPEGExtended12Bit

from hambatch.pipelines.colour_profile import ADOBE_GAMMA, ADOBE_RGB, SRGB, matrix_profile
from hambatch.pipelines.dicom.opening import opened
from hambatch.pipelines.pillow_lane import decode
from hambatch.sources.reading import UNLIMITED
from tests.faults.dicom_writing import described, encapsulated, jpeg_of, native, written
from tests.pipelines.dicom.making import (
    ADOBE,
    decoded,
    fetched,
    in_ybr,
    jpeg_of_samples,
    of_jpeg,
    reason_of,
    skin,
)
from tests.pipelines.lanes import HOW, SPEC
from tests.pipelines.odd import as_jpeg, as_png

PICTURES = [skin(seed, 95, 71) for seed in (1, 2, 3)]
JPEGS = [jpeg_of(picture) for picture in PICTURES]
JFIF = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"
PROFILE = matrix_profile(ADOBE_RGB, ADOBE_GAMMA)


@pytest.mark.parametrize("with_table", [True, False])
@pytest.mark.parametrize("fragments", [1, 3])
def test_each_frame_is_the_file_that_was_put_in(with_table: bool, fragments: int) -> None:
    content = encapsulated(JPEGS, PICTURES, with_table=with_table, fragments=fragments)
    assert {len(jpeg) % 2 for jpeg in JPEGS} == {0, 1}, "padding is not tried out"
    for number, jpeg in enumerate(JPEGS, 1):
        file = opened(fetched(content, number), UNLIMITED)
        assert (file.content, file.sha256, file.problem) == (jpeg, "hash", "")


def test_an_extended_table_of_offsets_counts() -> None:
    data = described(PICTURES)
    data.PhotometricInterpretation = "YBR_FULL_422"
    data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = (
        encapsulate_extended(JPEGS)
    )
    data["PixelData"].is_undefined_length = True
    content = written(data, "1.2.840.10008.1.2.4.50")
    assert opened(fetched(content, 2), UNLIMITED).content == JPEGS[1]
    for table in (data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths):
        other = content.replace(table, table[:8] + table[:8] + table[16:])
        reason = reason_of(other, 2)
        assert reason.startswith("damaged: ")
        assert "table" in reason


def test_fragments_of_one_frame_are_not_taken_for_an_absent_one() -> None:
    whole = encapsulated(JPEGS[:2], PICTURES, with_table=False, tags={"NumberOfFrames": 3})
    data = dcmread(io.BytesIO(whole))
    half = len(JPEGS[0]) // 4 * 2
    parts = [JPEGS[0][:half], JPEGS[0][half:], JPEGS[1]]
    data.PixelData = encapsulate(parts, has_bot=False)
    content = written(data, "1.2.840.10008.1.2.4.50")
    for number in (1, 2, 3):
        wanted = "incomplete: the DICOM holds 2 frames, its header says 3"
        assert reason_of(content, number) == wanted


def test_a_frame_that_is_not_named_or_not_there_fails() -> None:
    content = encapsulated(JPEGS, PICTURES)
    assert reason_of(content).startswith(
        "DICOM of 3 frames: which one is meant is unknown; name it as in x.dcm!/frame-0001"
    )
    assert reason_of(content, 4) == "DICOM of 3 frames has no frame 4"
    alone = of_jpeg(JPEGS[0], PICTURES[0], "YBR_FULL_422")
    assert opened(fetched(alone), UNLIMITED) == opened(fetched(alone, 1), UNLIMITED).__class__(
        0, JPEGS[0], "hash"
    )


def test_frames_that_the_header_does_not_count_fail() -> None:
    content = encapsulated(JPEGS, PICTURES, with_table=False, tags={"NumberOfFrames": 1})
    assert reason_of(content) == "damaged: the DICOM holds 3 frames, its header says 1"
    more = encapsulated(JPEGS, PICTURES, tags={"NumberOfFrames": 4})
    assert reason_of(more, 4) == "incomplete: the DICOM holds 3 frames, its header says 4"


@pytest.mark.parametrize("start", ["preamble", "meta", "data"])
def test_a_file_without_its_beginning_is_read(start: str) -> None:
    content = native("1.2.840.10008.1.2.1", [PICTURES[0]])
    assert content[128:132] == b"DICM"
    group = content.find(b"\x08\x00\x16\x00")
    content = {"preamble": content, "meta": content[132:], "data": content[group:]}[start]
    _, decoder = decoded(content)
    assert decoder == "pydicom"


def test_extended_jpeg_of_eight_bits_is_a_jpeg_and_of_twelve_is_refused() -> None:
    jpeg = JPEGS[0].replace(b"\xff\xc0", b"\xff\xc1", 1)
    content = encapsulated([jpeg], PICTURES[:1], JPEGExtended12Bit)
    assert opened(fetched(content), UNLIMITED).content == jpeg
    wide = jpeg.replace(b"\xff\xc1\x00\x11\x08", b"\xff\xc1\x00\x11\x0c", 1)
    content = encapsulated([wide], PICTURES[:1], JPEGExtended12Bit)
    assert reason_of(content) == "JPEG of 12 bits a sample is not supported"


RGB_SAMPLES, YBR_SAMPLES = PICTURES[0], in_ybr(PICTURES[0])

SAID = {
    # Samples, names of the components, segments, what the header says.
    "nothing but the header, RGB": (RGB_SAMPLES, b"\0\1\2", b"", "RGB"),
    "nothing but the header, YBR": (YBR_SAMPLES, b"\0\1\2", b"", "YBR_FULL"),
    "JFIF": (YBR_SAMPLES, b"\1\2\3", JFIF, "RGB"),
    "Adobe's transform": (YBR_SAMPLES, b"\1\2\3", ADOBE + b"\1", "RGB"),
    "Adobe's without a transform": (RGB_SAMPLES, b"\1\2\3", ADOBE + b"\0", "YBR_FULL_422"),
    "names of the components": (RGB_SAMPLES, b"RGB", b"", "YBR_FULL"),
    "small names of the components": (RGB_SAMPLES, b"rgb", b"", "YBR_FULL"),
    "Adobe's cut off, RGB": (RGB_SAMPLES, b"\1\2\3", b"\xff\xee\0\x0cAdobe\0\0\0\0\0", "RGB"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_the_jpeg_says_of_its_colours_counts_before_the_header(name: str) -> None:
    samples, ids, segments, photometric = SAID[name]
    jpeg = jpeg_of_samples(samples, ids=ids, before=segments)
    pixels, decoder = decoded(of_jpeg(jpeg, samples, photometric))
    wanted = decode(as_png(Image.fromarray(PICTURES[0])), SPEC, HOW).astype(int)
    assert np.abs(pixels - wanted).mean() < 3
    assert decoder == "dali-cpu"


def test_a_subsampled_jpeg_is_not_rgb_whatever_the_header_says() -> None:
    jpeg = as_jpeg(Image.fromarray(PICTURES[0]), subsampling="4:2:0")
    bare = jpeg[:2] + jpeg[20:]
    assert opened(fetched(of_jpeg(bare, PICTURES[0], "RGB")), UNLIMITED).content == bare


@pytest.mark.parametrize(
    ("samples", "photometric", "segments", "by_the_file"),
    [
        (RGB_SAMPLES, "YBR_FULL", b"", "YCbCr"),
        (YBR_SAMPLES, "RGB", b"", "RGB"),
        (RGB_SAMPLES, "RGB", JFIF, "YCbCr"),
        (YBR_SAMPLES, "YBR_FULL", ADOBE + b"\0", "RGB"),
    ],
)
def test_colours_that_are_clearly_others_than_the_file_says_fail(
    samples: np.ndarray, photometric: str, segments: bytes, by_the_file: str
) -> None:
    jpeg = jpeg_of_samples(samples, ids=b"\1\2\3", before=segments)
    reason = reason_of(of_jpeg(jpeg, samples, photometric))
    other = {"RGB": "YCbCr", "YCbCr": "RGB"}[by_the_file]
    assert reason == (
        f"DICOM whose colours are ambiguous: {by_the_file} by the file, {other} by the looks"
    )


def test_the_colour_profile_of_the_header_is_applied_as_one_in_the_jpeg_is() -> None:
    plain = of_jpeg(JPEGS[0], PICTURES[0], "YBR_FULL_422", tags={"ICCProfile": PROFILE})
    segment = b"ICC_PROFILE\0\1\1" + PROFILE
    jpeg = b"\xff\xd8\xff\xe2" + (len(segment) + 2).to_bytes(2) + segment + JPEGS[0][2:]
    wanted, by = decoded(jpeg)
    pixels, decoder = decoded(plain)
    assert (decoder, by) == ("pillow-icc", "pillow-icc")
    np.testing.assert_array_equal(pixels, wanted)
    srgb = of_jpeg(jpeg, PICTURES[0], "YBR_FULL_422", tags={"ICCProfile": SRGB_ICC})
    pixels, _ = decoded(srgb)
    np.testing.assert_array_equal(pixels, decoded(JPEGS[0])[0])


SRGB_ICC = matrix_profile(SRGB, 0.0)


def test_a_profile_that_is_srgb_leaves_the_bytes_as_they_are() -> None:
    content = of_jpeg(JPEGS[0], PICTURES[0], "YBR_FULL_422", tags={"ICCProfile": SRGB_ICC})
    assert opened(fetched(content), UNLIMITED).content == JPEGS[0]
    broken = of_jpeg(JPEGS[0], PICTURES[0], "YBR_FULL_422", tags={"ICCProfile": bytes(40)})
    assert reason_of(broken) == "colour profile cannot be used: it is cut off: 40 bytes"


def test_a_jpeg_of_another_size_or_kind_than_the_header_says_fails() -> None:
    other = of_jpeg(JPEGS[0], skin(1, 96, 72), "YBR_FULL_422")
    assert reason_of(other) == "damaged: the DICOM says 96 x 72 pixels, its JPEG 95 x 71"
    grey = of_jpeg(as_jpeg(Image.fromarray(PICTURES[0]).convert("L")), PICTURES[0], "YBR_FULL_422")
    assert reason_of(grey) == "damaged: the DICOM says 3 samples a pixel, its JPEG 1"
    png = of_jpeg(as_png(Image.fromarray(PICTURES[0])), PICTURES[0], "YBR_FULL_422")
    assert reason_of(png) == "damaged: the frame of the DICOM is no JPEG"


def test_a_frame_without_its_end_fails() -> None:
    data = dcmread(io.BytesIO(of_jpeg(JPEGS[0], PICTURES[0], "YBR_FULL_422")))
    data.PixelData = data.PixelData[:-600]
    assert "not whole" in reason_of(written(data, data.file_meta.TransferSyntaxUID))
