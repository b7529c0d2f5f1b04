"""A picture has the pixels of its PNG in every format, upright and in sRGB."""

import numpy as np
import pytest
from PIL import Image

from hambatch.pipelines.pillow_lane import Pixels
from tests.faults.heif_absences import heic
from tests.pipelines.formats.written import LOSSLESS, LOSSY, PICTURE, outcome, saved
from tests.pipelines.odd import as_png
from tests.pipelines.profiles import profile

pytestmark = pytest.mark.usefixtures("stderr_file")


def pixels(content: bytes, *, dali: bool = True) -> Pixels:
    found = outcome(content, dali=dali)
    assert isinstance(found, tuple), found.reason
    return found[0]


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_file_has_the_very_pixels_of_its_png(name: str) -> None:
    image, content = LOSSLESS[name]
    assert np.array_equal(pixels(content), pixels(as_png(image)))


@pytest.mark.parametrize("name", ["lossless.webp", "lzw.tif", "palette.gif", "lossless.jp2"])
def test_also_where_there_is_no_dali(name: str) -> None:
    image, content = LOSSLESS[name]
    assert np.array_equal(pixels(content, dali=False), pixels(as_png(image), dali=False))


@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_file_is_near_to_its_png(name: str) -> None:
    found = pixels(LOSSY[name](PICTURE)).astype(int)
    assert np.abs(found - pixels(as_png(PICTURE))).mean() < 3


TAGS = Image.Exif()
TAGS[274] = 6
EXIF = TAGS.tobytes()
LYING = PICTURE.transpose(Image.Transpose.ROTATE_90)
"""As a camera stores it that was turned: EXIF says 6."""

XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'

TURNED = {
    "webp": saved(LYING, "WEBP", lossless=True, exif=EXIF),
    "tiff": saved(LYING, "TIFF", tiffinfo={274: 6}),
    "lzw": saved(LYING, "TIFF", tiffinfo={274: 6}, compression="tiff_lzw"),
    "avif": saved(LYING, "AVIF", quality=95, subsampling="4:4:4", exif=EXIF),
    "heic": heic(LYING, quality=95, chroma=444, exif=EXIF),
}


@pytest.mark.parametrize("kind", TURNED)
def test_a_picture_is_turned_upright_once(kind: str) -> None:
    found = pixels(TURNED[kind]).astype(int)
    assert np.abs(found - pixels(as_png(PICTURE))).mean() < 3


def test_an_orientation_in_xmp_alone_turns_nothing() -> None:
    tiff = saved(PICTURE, "TIFF", tiffinfo={700: XMP})
    assert np.array_equal(pixels(tiff), pixels(as_png(PICTURE)))


P3 = profile("Display P3")
CONVERTED = {
    "webp": saved(PICTURE, "WEBP", lossless=True, icc_profile=P3),
    "tiff": saved(PICTURE, "TIFF", icc_profile=P3),
    "avif": saved(PICTURE, "AVIF", quality=95, subsampling="4:4:4", icc_profile=P3),
    "heic": heic(PICTURE, quality=95, chroma=444, icc_profile=P3),
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_a_profile_is_applied_as_to_a_png(kind: str) -> None:
    found = outcome(CONVERTED[kind])
    wanted = pixels(as_png(PICTURE, icc_profile=P3)).astype(int)
    assert found[1] == ("pillow-heif-icc" if kind == "heic" else "pillow-icc")
    assert np.abs(found[0] - wanted).max() <= (0 if kind in ("webp", "tiff") else 20)
    assert np.abs(wanted - pixels(as_png(PICTURE))).mean() > 2
