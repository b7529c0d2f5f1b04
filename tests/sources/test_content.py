"""Images are proven by their header; anything else is named, and nothing raises an error."""

import io

import numpy as np
import pytest
from PIL import Image, features

from hambatch.sources.content import HEAD_BYTES, image_format, is_text, kind_of
from tests.conftest import jpeg_bytes, png_bytes

WRITTEN = [
    ("BMP", "bmp", {}),
    ("GIF", "gif", {}),
    ("TIFF", "tiff", {}),
    ("TIFF", "tiff", {"big_tiff": True}),
    ("WEBP", "webp", {}),
    ("JPEG2000", "jpeg2000", {}),
    ("AVIF", "avif", {}),
]


def written(kind: str, mode: str = "RGB", **options: object) -> bytes:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    stream = io.BytesIO()
    Image.new(mode, (40, 30)).save(stream, format=kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(("kind", "name", "options"), WRITTEN)
def test_what_pillow_writes_is_proven_by_its_first_bytes(kind: str, name: str, options) -> None:
    content = written(kind, **options)
    assert image_format(content[:HEAD_BYTES]) == name
    assert kind_of(content) == name


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA"])
def test_a_bitmap_of_any_depth_is_one(mode: str) -> None:
    assert image_format(written("BMP", mode)) == "bmp"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom" + bytes(9), "cr3"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic" + bytes(9), "heic"),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif" + bytes(9), "avif"),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(9), "cr2"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(9), "jpeg xl"),
        (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100", "dicom"),
        (b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.4.8", "dicom"),
    ],
)
def test_images_that_are_not_read_yet_are_proven(content: bytes, name: str) -> None:
    assert image_format(content) == kind_of(content) == name


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\xff\x0a" + bytes(20), "jpeg xl"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "svg"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "xml"),
        (b"<!-- a proxy --><HTML>", "html"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<</Type/Catalog>>\n" * 20, "pdf"),
        (
            b"/annex/objects/SHA256E-s1--0.jpg\n",
            "git-annex pointer: the file itself was not fetched",
        ),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "appledouble: attributes of another file"),
        (b"PK\x03\x04\x14\x00", "zip"),
        (b"P5\n20 10\n255\n\xff\xff", "netpbm"),
        ("Größe,Alter\n".encode("latin-1"), "text"),
        ("Größe,Alter\n".encode("utf-16"), "text"),
        ("皮肤镜图像\n".encode(), "text"),
        (b"\xff" * 700, "only 0xFF bytes: the file was never written whole"),
        (bytes(600) + b"\xff\xd9", "begins with zero bytes: its beginning was never written"),
        (bytes(128) + b"DICM" + bytes(9), "dicom"),
        (b"BM" + bytes(60), "unknown content"),
    ],
)
def test_what_proves_no_image_is_named(content: bytes, name: str) -> None:
    assert image_format(content) is None
    assert kind_of(content) == name


def test_text_is_known_by_its_first_bytes_even_if_they_end_within_a_character() -> None:
    assert is_text(("a" + "é" * HEAD_BYTES).encode()[:HEAD_BYTES])
    assert not is_text(b"")


def test_no_content_raises_an_error() -> None:
    starts = [written(kind, **options) for kind, _, options in WRITTEN if kind != "AVIF"]
    starts += [b"II*\0\x08\0\0\0\xff\xff", b"MM\0*\0\0\0\x08\0\x02", bytes(128) + b"DICM", b"BM"]
    for start in (*starts, jpeg_bytes(1), png_bytes(1)):
        for length in range(min(len(start), 160)):
            assert kind_of(start[:length])
    draw = np.random.default_rng(3)
    for length in range(300):
        assert kind_of(draw.bytes(length) + b"\0")
