"""What a file says of itself is known before anything is decoded."""

import struct
from pathlib import Path

import numpy as np
import pytest

from hambatch.pipelines.header import read_header, without_extras
from tests.conftest import jpeg_bytes, png_bytes
from tests.pipelines.odd import (
    as_jpeg,
    as_png,
    chunk,
    picture,
    raw_png,
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
        # After its samples nobody looks for EXIF in a JPEG.
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
    import io

    from PIL import Image

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
