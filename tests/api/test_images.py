"""Pixels travel without loss, and what is no image is refused before anything is scored."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from hambatch.api.images import images_of
from hambatch.api.pixels import png_of, png_of_image
from hambatch.errors import InputError
from hambatch.pipelines.colour_profile import profile_of
from hambatch.pipelines.orientation import exif_of, orientation_of
from hambatch.pipelines.png_parts import lacking_rows
from hambatch.scoring.options import ScoreOptions
from hambatch.sources.reading import Limits

LIMITS = Limits(max_bytes=1000, max_pixels=100)

PIXELS = np.random.default_rng(0).integers(0, 256, (123, 211, 3), np.uint8)


def read(content: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[::-1, ::2], np.asfortranarray(PIXELS)])
def test_pixels_come_back_as_they_were(pixels: np.ndarray[Any, Any]) -> None:
    content = png_of(pixels)
    assert (read(content) == pixels).all()
    assert lacking_rows(content) == ""
    # zlib's own check of what is not compressed.
    start = content.index(b"IDAT") + 4
    assert len(zlib.decompress(content[start:-16])) == pixels.shape[0] * (1 + pixels[0].size)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"])
def test_every_mode_has_the_colours_that_its_own_file_has(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    assert (read(png_of_image(image)) == np.asarray(image.convert("RGB"))).all()


def test_orientation_and_profile_of_an_image_go_along() -> None:
    exif, icc = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "JPEG", exif=exif, icc_profile=icc)
    with Image.open(stream) as image:
        content = png_of_image(image)
    assert profile_of(content) == icc
    with Image.open(io.BytesIO(content)) as found:
        assert orientation_of(exif_of(found.info)) == 6


def test_limits_are_those_of_files_for_bytes_and_those_of_pixels_for_pixels() -> None:
    image = Image.fromarray(PIXELS)
    given = [bytes(1001), memoryview(bytes(999)), image, PIXELS]
    found = [one.item.problem for one in images_of((given,), ScoreOptions(), LIMITS)]
    assert [problem.partition(":")[0] for problem in found] == ["too large", "", "too large", ""]


WRONG = [
    ((), TypeError, "nothing to score"),
    ((b"bytes",), TypeError, r"is one image; wanted a list of images: \[image\]"),
    ((PIXELS,), TypeError, "is one image"),
    ((Image.fromarray(PIXELS),), TypeError, "is one image"),
    (({"a": PIXELS},), TypeError, r"\.items\(\)"),
    ((7,), TypeError, "no iterable of images"),
    (("folder", [PIXELS]), TypeError, "several arguments are sources"),
    (([None],), TypeError, "image 0 is of the type NoneType; wanted a path, the bytes of a file"),
    (([b"", io.BytesIO()],), TypeError, "image 1 is of the type BytesIO"),
    (([("a", b"", 1)],), TypeError, "image 0 is a tuple of 3; wanted a path"),
    (([(1, b"")],), TypeError, "image 0"),
    (([("", b"")],), ValueError, "empty name"),
    (([PIXELS / 255],), ValueError, r"float64, 123 x 211 x 3; wanted uint8"),
    (([PIXELS[..., 0]],), ValueError, "uint8, 123 x 211; wanted uint8, height x width x 3"),
    (([PIXELS[:0]],), ValueError, "0 x 211 x 3"),
    (([Image.new("CMYK", (9, 9))],), ValueError, r"image\.convert\('RGB'\)"),
]


@pytest.mark.parametrize(("given", "error", "words"), WRONG)
def test_what_is_no_image_is_refused_at_once_with_what_was_wanted(
    given: tuple[Any, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        images_of(given, ScoreOptions(), LIMITS)


@pytest.mark.parametrize("kind", [object, str])
def test_an_array_of_paths_is_as_good_as_a_list_of_them(kind: type) -> None:
    given = np.array(["a.jpg", "b.jpg"], kind)
    names = [one.name for one in images_of((given,), ScoreOptions(), LIMITS)]
    assert names == ["a.jpg", "b.jpg"]


def test_an_empty_text_is_not_taken_for_the_current_folder() -> None:
    with pytest.raises(InputError, match="an empty text, wanted a folder"):
        images_of(("",), ScoreOptions(), LIMITS)


def test_what_a_generator_yields_is_looked_at_when_it_is_drawn() -> None:
    def wrong() -> Iterator[Any]:
        yield "a.jpg"
        yield None

    images = iter(images_of((wrong(),), ScoreOptions(), LIMITS))
    named = next(images)
    assert (named.name, named.item.path) == ("a.jpg", Path("a.jpg").absolute())
    with pytest.raises(TypeError, match="image 1 is"):
        next(images)
