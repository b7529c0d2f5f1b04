"""`score` on pictures whose colours are not sRGB: converted, and the row says so."""

import csv
import struct
import zlib

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hambatch.cli import hambatch
from tests.faults.soft_engine import write_soft_engine
from tests.pipelines.odd import as_jpeg, as_png, chunk, picture
from tests.pipelines.profiles import (
    PRIMARIES,
    camera_exif,
    embedded,
    grey_profile,
    in_colours_of,
    measured,
    png_with,
    profile,
    srgb_of_littlecms,
)

PICTURE = picture(7, 120, 90)
P3, ADOBE = (in_colours_of(PICTURE, name) for name in ("Display P3", "Adobe RGB"))
GREY = PICTURE.convert("L")
LIGHTER_GREY = GREY.point([round(255 * (level / 255) ** (2.2 / 1.8)) for level in range(256)])
FINE = {"quality": 100, "subsampling": 0}

LARGE = 200_000
"""Bytes of a profile that one segment of a JPEG cannot hold."""


def in_segments(jpeg: bytes, *parts: bytes) -> bytes:
    """The JPEG with parts of a profile, each after its number and how many there are."""
    mark = b"ICC_PROFILE\0"
    segments = (struct.pack(">2sH", b"\xff\xe2", 14 + len(part)) + mark + part for part in parts)
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


P3_JPEG, P3_PROFILE = as_jpeg(P3, **FINE), profile("Display P3")
LONG_TEXT = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x/>" * 500_000))

CONVERTED = {
    "twice.jpg": in_segments(P3_JPEG, *[b"\1\1" + P3_PROFILE] * 2),
    "counted from 0.jpg": in_segments(
        P3_JPEG, b"\0\2" + P3_PROFILE[:300], b"\1\2" + P3_PROFILE[300:]
    ),
    "long text.png": png_with(P3, embedded(P3_PROFILE), LONG_TEXT),
    "large profile.png": png_with(P3, embedded(profile("Display P3", 2_000_000))),
    "Display P3.jpg": as_jpeg(P3, icc_profile=profile("Display P3"), **FINE),
    "Adobe RGB.jpg": as_jpeg(ADOBE, icc_profile=profile("Adobe RGB"), **FINE),
    "progressive.jpg": as_jpeg(P3, icc_profile=profile("Display P3"), progressive=True, **FINE),
    "in several segments.jpg": as_jpeg(P3, icc_profile=profile("Display P3", LARGE), **FINE),
    "Adobe RGB by EXIF.jpg": as_jpeg(ADOBE, exif=camera_exif(65_535, "R03"), **FINE),
    "ColorSpace 2.jpg": as_jpeg(ADOBE, exif=camera_exif(2), **FINE),
    "iCCP.png": png_with(P3, embedded(profile("Display P3"))),
    "iCCP and sRGB.png": png_with(P3, embedded(profile("Display P3")), chunk(b"sRGB", b"\0")),
    "gAMA and cHRM.png": png_with(ADOBE, measured(256 / 563, PRIMARIES["Adobe RGB"])),
    "cICP.png": png_with(P3, chunk(b"cICP", bytes([12, 13, 0, 1]))),
    "RGBA.png": png_with(P3.convert("RGBA"), embedded(profile("Display P3"))),
    "palette.png": png_with(P3.quantize(256), embedded(profile("Display P3"))),
    "turned.jpg": as_jpeg(
        P3.transpose(Image.Transpose.ROTATE_90),
        icc_profile=profile("Display P3"),
        exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
        **FINE,
    ),
}
"""One picture as the numbers of other colour spaces; a viewer shows it the same each time."""

AS_STORED = {
    "plain.jpg": as_jpeg(PICTURE, **FINE),
    "sRGB.jpg": as_jpeg(PICTURE, icc_profile=profile("sRGB"), **FINE),
    "sRGB, another version.jpg": as_jpeg(PICTURE, icc_profile=srgb_of_littlecms(), **FINE),
    "sRGB by EXIF.jpg": as_jpeg(PICTURE, exif=camera_exif(1, "R98"), **FINE),
    "sRGB.png": png_with(PICTURE, chunk(b"sRGB", b"\0"), measured(0.45455, PRIMARIES["Adobe RGB"])),
    "sRGB, measured.png": png_with(PICTURE, measured(0.45455, PRIMARIES["sRGB"])),
    "plain.png": as_png(PICTURE),
}

GREYS = {
    "grey of 1.8 in a palette.png": png_with(
        LIGHTER_GREY.convert("P"), embedded(grey_profile(1.8))
    ),
    "grey.png": as_png(GREY),
    "grey of 1.8.png": png_with(LIGHTER_GREY, embedded(grey_profile(1.8))),
    "grey of 1.8.jpg": as_jpeg(LIGHTER_GREY, icc_profile=grey_profile(1.8), **FINE),
}

BROKEN = {
    "cut.jpg": (as_jpeg(P3, icc_profile=profile("Display P3")[:300]), "cut off: 300 bytes"),
    "junk.jpg": (as_jpeg(P3, icc_profile=b"junk" * 100), "cut off: 400 bytes"),
    "tags beyond its end.jpg": (
        as_jpeg(P3, icc_profile=bytes([0, 0, 1, 172]) + profile("Display P3")[4:428]),
        "cannot be used",
    ),
    "a part missing.jpg": (
        as_jpeg(P3, icc_profile=profile("Display P3")).replace(
            b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\1\2"
        ),
        "not whole: 1 of 2 parts",
    ),
    "grey on colours.jpg": (
        as_jpeg(PICTURE, icc_profile=grey_profile(1.8)),
        "'GRAY' on an image of 'RGB'",
    ),
    "bomb.png": (png_with(P3, embedded(bytes(50_000_000))), "larger than 4 MB"),
    "not inflated.png": (png_with(P3, chunk(b"iCCP", b"x\0\0junk")), "damaged"),
    "HLG.png": (png_with(P3, chunk(b"cICP", bytes([9, 18, 0, 1]))), "9-18-0-1 are not supported"),
    "no primaries.png": (png_with(P3, measured(0.45455, (0.0,) * 8)), "colours unknown"),
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    place = tmp_path_factory.mktemp("colours")
    engine, images, out = write_soft_engine(place / "soft"), place / "images", place / "preds.csv"
    images.mkdir()
    broken = {name: content for name, (content, _) in BROKEN.items()}
    for name, content in (CONVERTED | AS_STORED | GREYS | broken).items():
        (images / name).write_bytes(content)
    arguments = ["score", str(images), "--out", str(out), "--engine", str(engine)]
    result = CliRunner().invoke(hambatch, [*arguments, "--device", "cpu"])
    assert result.exit_code in (0, 3), result.output
    with out.open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def distance(one: dict[str, str], other: dict[str, str]) -> float:
    """By how much the probabilities of two rows differ at most."""
    names = [name for name in one if name.startswith("p_")]
    return max(abs(float(one[name] or 9) - float(other[name])) for name in names)


@pytest.mark.parametrize("name", CONVERTED)
def test_a_picture_that_is_not_srgb_scores_as_the_same_picture_in_srgb(rows, name: str) -> None:
    assert distance(rows[name], rows["plain.png"]) < (0.03 if "palette" in name else 0.004)
    assert rows[name]["decoder"] == "pillow-icc"


@pytest.mark.parametrize("name", AS_STORED)
def test_a_picture_that_is_srgb_is_decoded_as_ever(rows, name: str) -> None:
    assert rows[name]["decoder"] == rows["plain.png"]["decoder"]
    assert distance(rows[name], rows[f"plain.{name[-3:]}"]) == 0


def test_a_grey_profile_counts_as_well(rows) -> None:
    for name in ("grey of 1.8.png", "grey of 1.8.jpg", "grey of 1.8 in a palette.png"):
        assert distance(rows[name], rows["grey.png"]) < 0.01
        assert rows[name]["decoder"] == "pillow-icc"


@pytest.mark.parametrize("name", BROKEN)
def test_a_picture_whose_colours_are_unknown_is_a_failed_row(rows, name: str) -> None:
    assert rows[name]["status"] == "failed"
    assert BROKEN[name][1] in rows[name]["reason"]


def test_the_colours_of_the_picture_matter_here() -> None:
    for image in (P3, ADOBE):
        assert np.abs(np.asarray(image).astype(int) - np.asarray(PICTURE)).max() > 30
