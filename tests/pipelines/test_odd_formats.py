"""Unusual but legal pictures: DALI and Pillow give the same pixels, and the right ones."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from hambatch.pipelines.header import is_suspect
from hambatch.pipelines.pillow_lane import decode
from hambatch.pipelines.slow_lane import SlowLane
from hambatch.sources.reading import UNLIMITED, Fetched
from tests.pipelines.lanes import HOW, SPEC
from tests.pipelines.odd import as_jpeg, as_png, interlaced_png, picture, raw_png

RGB = picture()
GREY = RGB.convert("L")
SAMPLES = np.asarray(RGB).astype(int)


def alpha(image: Image.Image) -> Image.Image:
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def few(bits: int) -> Image.Image:
    return RGB.quantize(2**bits)


def multi_picture() -> bytes:
    stream = io.BytesIO()
    RGB.save(stream, "MPO", quality=95, save_all=True, append_images=[RGB.rotate(180)])
    return stream.getvalue()


ODD = {
    "grey PNG": (as_png(GREY), GREY),
    "grey JPEG": (as_jpeg(GREY), GREY),
    "grey and alpha PNG": (as_png(alpha(GREY.convert("LA"))), GREY),
    "RGBA PNG": (as_png(alpha(RGB.convert("RGBA"))), RGB),
    "palette PNG": (as_png(few(6)), few(6)),
    "palette PNG with transparency": (as_png(few(6), transparency=3), few(6)),
    "4-bit palette PNG": (as_png(few(4), bits=4), few(4)),
    "1-bit PNG": (as_png(GREY.convert("1")), GREY.convert("1")),
    "RGB PNG with a transparent colour": (as_png(RGB, transparency=(9, 9, 9)), RGB),
    "16-bit grey PNG": (raw_png(np.asarray(GREY).astype(int) * 257, 16, 0), GREY),
    "interlaced PNG": (interlaced_png(SAMPLES), RGB),
    "16-bit RGB PNG": (raw_png(SAMPLES * 257, 16, 2), RGB),
    "progressive JPEG": (as_jpeg(RGB, progressive=True), RGB),
    "JPEG without subsampling": (as_jpeg(RGB, subsampling=0), RGB),
    "JPEG that stores RGB": (as_jpeg(RGB, keep_rgb=True), RGB),
    "CMYK JPEG with Adobe's marker": (as_jpeg(RGB.convert("CMYK")), RGB),
    "multi-picture JPEG": (multi_picture(), RGB),
}


def by_dali(content: bytes) -> np.ndarray:
    pixels, decoder = SlowLane(SPEC, HOW).decode(Fetched(0, content, ""))
    assert decoder == "dali-cpu"
    return pixels.astype(int)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_has_the_right_pixels_in_both_decoders(name: str) -> None:
    content, image = ODD[name]
    assert not is_suspect(content, UNLIMITED)
    wanted = decode(as_png(image.convert("RGB")), SPEC, HOW).astype(int)
    pixels = by_dali(content)
    assert np.abs(pixels - wanted).mean() < 3
    assert np.abs(pixels - decode(content, SPEC, HOW)).max() <= 1


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (224, 224))
    content = raw_png(samples, 16, 0)
    for pixels in (by_dali(content), decode(content, SPEC, HOW)):
        np.testing.assert_array_equal(pixels[..., 1], np.rint(samples / 257))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("write", [as_jpeg, as_png])
def test_every_orientation_of_jpeg_and_png_is_turned_upright(write, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = write(RGB, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    wanted = decode(as_png(upright), SPEC, HOW).astype(int)
    for pixels in (by_dali(content), decode(content, SPEC, HOW)):
        assert np.abs(pixels - wanted).max() <= 1


def test_no_decoder_turns_a_picture_by_its_xmp() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    content = as_jpeg(RGB, xmp=xmp)
    wanted = decode(as_jpeg(RGB), SPEC, HOW)
    np.testing.assert_array_equal(decode(content, SPEC, HOW), wanted)
    assert np.abs(by_dali(content) - wanted).max() <= 1


@pytest.mark.parametrize("first", [1, 3, 6, 8])
def test_of_a_jpegs_several_blocks_of_exif_the_first_counts_and_dali_sees_none(first: int) -> None:
    # DALI 2.4 writes past its buffer where one of them swaps the sides.
    once, other = (as_jpeg(RGB, exif=oriented(k)) for k in (first, 6 if first < 6 else 1))
    start = other.index(b"\xff\xe1")
    end = start + 2 + int.from_bytes(other[start + 2 : start + 4])
    place = once.index(b"\xff\xdb")
    content = once[:place] + other[start:end] + once[place:]
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(once)))
    wanted = decode(as_png(upright), SPEC, HOW).astype(int)
    assert is_suspect(content, UNLIMITED)
    pixels, decoder = SlowLane(SPEC, HOW).decode(Fetched(0, content, ""))
    assert decoder == "pillow"
    assert np.abs(pixels.astype(int) - wanted).max() <= 1


def test_a_png_with_several_blocks_of_exif_is_failed_wherever_they_stand() -> None:
    once, other = (as_png(RGB, exif=oriented(k)) for k in (1, 6))
    start, end = other.index(b"eXIf") - 4, other.index(b"IDAT") - 4
    for place in (33, once.index(b"IDAT") - 4, len(once) - 12):
        content = once[:place] + other[start:end] + once[place:]
        outcome = SlowLane(SPEC, HOW).decode(Fetched(0, content, ""))
        assert outcome.reason == "PNG with 2 blocks of EXIF: which one is meant is unknown"


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
