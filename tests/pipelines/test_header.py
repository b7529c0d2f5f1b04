"""What a file says of itself is known before anything is decoded; suspects enter no batch."""

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hambatch.pipelines.header import (
    FAST_PIXELS,
    is_cut_off,
    is_suspect,
    read_header,
    refusal,
    without_extras,
)
from hambatch.sources.reading import UNLIMITED, Limits
from tests.conftest import jpeg_bytes, png_bytes
from tests.pipelines.odd import (
    as_jpeg,
    as_png,
    chunk,
    frame_of,
    picture,
    raw_png,
    with_bytes,
    with_junk_in_the_header,
    with_size,
)


@pytest.mark.parametrize("make", [jpeg_bytes, png_bytes])
def test_the_size_is_the_stored_one(make) -> None:
    header = read_header(make(1, 130, 70))
    assert header is not None
    assert (header.width, header.height, header.pixels) == (130, 70, 9100)
    assert (header.channels, header.bits, header.animated) == (3, 8, 0)


def test_a_thumbnail_in_the_exif_data_does_not_count() -> None:
    thumbnail = b"Exif\0\0" + jpeg_bytes(2, 16, 16)
    header = read_header(as_jpeg(picture(), exif=thumbnail))
    assert header is not None
    assert header.width == 300


def test_the_coding_and_adobes_marker_are_seen() -> None:
    assert read_header(as_jpeg(picture(), progressive=True)).coding == 0xC2
    cmyk = read_header(as_jpeg(picture().convert("CMYK")))
    assert (cmyk.channels, cmyk.adobe) == (4, True)


def test_an_animated_png_tells_its_frames() -> None:
    frames = as_png(picture(1), save_all=True, append_images=[picture(2), picture(3)])
    assert read_header(frames).animated == 3


def test_exif_in_a_text_chunk_is_seen() -> None:
    text = chunk(b"tEXt", b"Raw profile type exif\0\nexif\n")
    assert read_header(raw_png(np.zeros((2, 2, 3)), 8, 2, text)).odd_exif


def exif(orientation: int) -> bytes:
    return b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0%c\0\0\0\0\0\0\0" % orientation


def with_exif(content: bytes, place: int, orientation: int) -> bytes:
    """Put a block of EXIF into a JPEG or PNG."""
    block = exif(orientation)
    app1 = b"\xff\xe1" + struct.pack(">H", len(block) + 8) + b"Exif\0\0" + block
    segment = app1 if content.startswith(b"\xff\xd8") else chunk(b"eXIf", block)
    return content[:place] + segment + content[place:]


@pytest.mark.parametrize("place", ["first", "before the samples", "last"])
@pytest.mark.parametrize("make", [jpeg_bytes, png_bytes])
def test_several_blocks_of_exif_are_seen_wherever_the_second_stands(make, place: str) -> None:
    content = make(1, 120, 90)
    is_jpeg = make is jpeg_bytes
    places = {
        "first": 2 if is_jpeg else 33,
        "before the samples": content.index(b"\xff\xda") if is_jpeg else content.index(b"IDAT") - 4,
        # After its samples no decoder looks for EXIF in a JPEG.
        "last": content.index(b"\xff\xda") if is_jpeg else len(content) - 12,
    }
    once = with_exif(content, places[place], 3)
    assert not read_header(once).odd_exif
    assert read_header(with_exif(once, places["first"], 6)).odd_exif


@pytest.mark.parametrize("make", [jpeg_bytes, png_bytes])
def test_a_header_that_was_cut_anywhere_is_none_and_never_an_error(make) -> None:
    content = make(1)
    start = content.index(b"\xff\xda" if make is jpeg_bytes else b"IDAT")
    for length in range(start):
        assert read_header(content[:length]) is None


def test_what_a_strict_decoder_refuses_has_no_header() -> None:
    good = jpeg_bytes(1)
    assert read_header(with_junk_in_the_header(good)) is None
    frame = good[good.index(b"\xff\xc0") :][:19]
    bomb = with_size(frame, 60_000, 60_000)
    assert read_header(good.replace(frame, frame + bomb)) is None
    assert read_header(b"GIF89a" + bytes(100)) is None


def test_without_extras_a_jpeg_decodes_to_the_same_pixels() -> None:
    good = as_jpeg(picture(), comment=b"hello", exif=b"Exif\0\0" + bytes(40))
    for content in (good, with_junk_in_the_header(good)):
        plain = without_extras(content)
        assert len(plain) < len(good) - 60
        pixels = [np.asarray(Image.open(io.BytesIO(b))) for b in (good, plain)]
        np.testing.assert_array_equal(*pixels)


def test_without_extras_endless_garbage_ends() -> None:
    assert without_extras(b"\xff\xd8" + b"\xff" * 1000) is None
    assert without_extras(b"\xff\xd8\xff\xe0" + struct.pack(">H", 60_000)) is None


@pytest.mark.data
def test_every_picture_of_ham10000_has_a_regular_header() -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "ham10000"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    for path in sorted(folder.rglob("*.jpg"))[::50]:
        header = read_header(path.read_bytes())
        assert header is not None
        assert (header.width, header.height) == (600, 450)


LIMITS = Limits(max_bytes=10**7, max_pixels=10**8)


@pytest.mark.parametrize("content", [jpeg_bytes(1), png_bytes(1), as_jpeg(picture().convert("L"))])
def test_good_files_take_the_fast_lane(content: bytes) -> None:
    assert not is_suspect(content, LIMITS)
    assert refusal(content, LIMITS) == ""


def test_a_cut_a_trailed_and_a_garbled_file_are_suspects_that_may_be_tried() -> None:
    good = jpeg_bytes(1)
    for content in (good[:-2], good + b"tail", with_junk_in_the_header(good), png_bytes(1)[:-3]):
        assert is_suspect(content, LIMITS)
        assert refusal(content, LIMITS) == ""


def test_only_what_lacks_its_end_is_cut_off() -> None:
    assert is_cut_off(jpeg_bytes(1)[:-200])
    assert is_cut_off(png_bytes(1)[:-20])
    assert not is_cut_off(jpeg_bytes(1))
    assert not is_cut_off(b"\xff\xd8\xffgarbage")


@pytest.mark.parametrize(("width", "height"), [(65_000, 65_000), (10_001, 10_000)])
def test_a_bomb_is_refused_by_its_header_with_what_was_found_and_the_option(
    width: int, height: int
) -> None:
    png = raw_png(np.zeros((1, 1, 3)), 8, 2)
    for bomb in (
        with_size(jpeg_bytes(1), width, height),
        with_bytes(png, 16, struct.pack(">II", width, height)),
    ):
        assert is_suspect(bomb, LIMITS)
        tracemalloc.start()
        reason = refusal(bomb, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 100_000
        tracemalloc.stop()
        assert f"{width} x {height}" in reason
        assert "the limit is 100 (--max-megapixels)" in reason


def test_a_picture_of_the_limits_size_is_not_refused() -> None:
    assert refusal(with_size(jpeg_bytes(1), 10_000, 10_000), LIMITS) == ""


def test_a_large_picture_is_decoded_alone() -> None:
    assert FAST_PIXELS == 4000 * 4000
    good = jpeg_bytes(1)[:-2] + bytes(range(200)) * 3000 + b"\xff\xd9"
    assert not is_suspect(with_size(good, 4000, 4000), LIMITS)
    assert is_suspect(with_size(good, 4001, 4000), LIMITS)


def coded(marker: int) -> bytes:
    good = jpeg_bytes(1)
    return with_bytes(good, frame_of(good) + 1, bytes([marker]))


def test_codings_whose_pixels_were_never_compared_are_refused_by_name() -> None:
    good = jpeg_bytes(1)
    frame = frame_of(good)
    for content, reason in (
        (coded(0xC3), "lossless JPEG"),
        (coded(0xC5), "hierarchical JPEG"),
        (coded(0xC9), "arithmetic coding"),
        (coded(0xCF), "lossless JPEG"),
        (with_bytes(good, frame + 4, b"\x0c"), "12 bits"),
        (with_bytes(good, frame + 9, b"\x02"), "2 channels"),
        (with_size(good, 96, 0), "96 x 0 pixels"),
    ):
        assert reason in refusal(content, UNLIMITED)
        assert is_suspect(content, UNLIMITED)


def test_four_channels_without_adobes_marker_are_ambiguous() -> None:
    cmyk = as_jpeg(picture().convert("CMYK"))
    assert refusal(cmyk, UNLIMITED) == ""
    assert "ambiguous" in refusal(cmyk.replace(b"Adobe", b"Other"), UNLIMITED)


def test_an_animation_is_refused_and_its_number_of_frames_named() -> None:
    moving = as_png(picture(1), save_all=True, append_images=[picture(2)])
    assert refusal(moving, UNLIMITED).startswith("animated PNG of 2 frames")
    assert is_suspect(moving, UNLIMITED)


def test_exif_that_only_pillow_reads_takes_the_slow_lane() -> None:
    text = chunk(b"tEXt", b"Raw profile type exif\0\nexif\n")
    assert is_suspect(raw_png(np.zeros((2, 2, 3)), 8, 2, text), UNLIMITED)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "not an image that hambatch reads (text)"),
        (b"hello\0", "not an image that hambatch reads (unknown content)"),
        (b"II*\0\x08" + bytes(50), "incomplete: TIFF without width and height"),
        # The first directory of a TIFF cannot lie in its first eight bytes.
        (b"II*\0" + bytes(50), "not an image that hambatch reads (unknown content)"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, reason: str) -> None:
    assert refusal(content, UNLIMITED) == reason
    assert is_suspect(content, UNLIMITED)
