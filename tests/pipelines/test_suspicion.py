"""What could harm a batch never enters one, and a bomb costs nothing."""

import struct
import tracemalloc

import numpy as np
import pytest

from hambatch.pipelines.header import FAST_PIXELS, is_cut_off, is_suspect, refusal
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
    assert not is_suspect(with_size(jpeg_bytes(1), 4000, 4000), LIMITS)
    assert is_suspect(with_size(jpeg_bytes(1), 4001, 4000), LIMITS)


def coded(marker: int) -> bytes:
    good = jpeg_bytes(1)
    return with_bytes(good, frame_of(good) + 1, bytes([marker]))


def test_codings_whose_pixels_nobody_checked_are_refused_by_name() -> None:
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
        (b"hello", "not a JPEG or PNG image (unknown content)"),
        (b"II*\0" + bytes(50), "not a JPEG or PNG image (tiff)"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, reason: str) -> None:
    assert refusal(content, UNLIMITED) == reason
    assert is_suspect(content, UNLIMITED)
