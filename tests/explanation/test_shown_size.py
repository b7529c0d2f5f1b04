"""Width and height as a viewer shows a picture, which its decoder confirms."""

import io

import pytest
from PIL import Image, ImageOps

from hambatch.explanation.picture import shown_size
from tests.conftest import jpeg_bytes, png_bytes


def with_exif(orientation: int, kind: str) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (64, 48), (200, 40, 90)).save(stream, format=kind, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_the_size_of_the_upright_picture(orientation: int, kind: str) -> None:
    content = with_exif(orientation, kind)
    with Image.open(io.BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image).size
    assert shown_size(content, exif_orientation=True) == upright
    assert shown_size(content, exif_orientation=False) == (64, 48)


def test_without_exif_it_is_the_stored_size() -> None:
    assert shown_size(jpeg_bytes(1, 96, 72), exif_orientation=True) == (96, 72)
    assert shown_size(png_bytes(1, 40, 90), exif_orientation=True) == (40, 90)


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff\xd8\xff", jpeg_bytes(1)[:20]])
def test_what_has_no_header_has_no_size(content: bytes) -> None:
    assert shown_size(content, exif_orientation=True) is None
