"""Pillow's pixels are upright and DALI's; what Pillow stumbles over is a failed row, no crash."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from hambatch.pipelines.pillow_lane import UndecodableImage, decode
from hambatch.pipelines.slow_lane import SlowLane
from hambatch.sources.reading import Fetched
from hambatch.types import Failure
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import HOW, SPEC
from tests.pipelines.odd import as_png, picture


def with_exif(jpeg: bytes, exif: bytes) -> bytes:
    segment = b"Exif\0\0" + exif
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def exif_of(*entries: bytes) -> bytes:
    """A TIFF header and one directory, big endian."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)


def orientation(value: int) -> bytes:
    return struct.pack(">HHIHH", 0x0112, 3, 1, value, 0)


@pytest.mark.parametrize("value", range(10))
def test_every_orientation_turns_as_pillow_does(value: int) -> None:
    content = with_exif(jpeg_bytes(1, 90, 50), exif_of(orientation(value)))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    np.testing.assert_array_equal(decode(content, SPEC, HOW), decode(as_png(upright), SPEC, HOW))


@pytest.mark.parametrize(
    ("tag", "kind", "value", "error"),
    [
        (0x010F, 5, b"\0\0\0\x08", AttributeError),  # the maker's name as a fraction
        (0x011A, 1, b"\0\1\0\0", TypeError),  # the resolution as a byte
        (0x011A, 6, b"\xff\xff\xff\xff", struct.error),  # and as a signed one
    ],
)
def test_tags_that_pillow_cannot_write_again_do_not_matter(
    tag: int, kind: int, value: bytes, error: type[Exception]
) -> None:
    odd = struct.pack(">HHI4s", tag, kind, 1, value)
    entries = sorted([odd, orientation(6)])
    content = with_exif(jpeg_bytes(1, 90, 50), exif_of(*entries))
    with pytest.raises(error):
        ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    plain = with_exif(jpeg_bytes(1, 90, 50), exif_of(orientation(6)))
    np.testing.assert_array_equal(decode(content, SPEC, HOW), decode(plain, SPEC, HOW))


def odd_exif() -> list[bytes]:
    """Cut off anywhere, of any type, under any header."""
    whole = exif_of(orientation(6))
    kinds = [struct.pack(">HHI4s", 0x0112, k, n, b"\0\6\0\6") for k in range(14) for n in (0, 1, 4)]
    heads = [b"MM\0+\0\0\0\x08", b"II*\0\x08\0\0\0", b"XX\0*\0\0\0\x08", b"IM\0*\0\0\0\x08"]
    heads += [b"MM\0*\0\0\0\0", b"MM\0*\0\xff\0\0", b"MM\0*\xff\xff\xff\xff"]
    little = b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0" + bytes(4)
    return [
        *(whole[:end] for end in range(len(whole))),
        *(exif_of(kind) for kind in kinds),
        *(head + whole[8:] for head in heads),
        little,
        exif_of(orientation(6), orientation(1)),
        exif_of(orientation(1), orientation(6)),
        b"this is no TIFF",
    ]


@pytest.mark.usefixtures("stderr_file")
def test_however_odd_exif_is_pillow_turns_a_picture_the_way_dali_does() -> None:
    jpeg = jpeg_bytes(1, 90, 50)
    salvage, turned = SlowLane(SPEC, HOW), set()
    for exif in odd_exif():
        content = with_exif(jpeg, exif)
        found = salvage.decode(Fetched(0, content, ""))
        assert not isinstance(found, Failure)
        assert found[1] == "dali-cpu"
        ours = decode(content, SPEC, HOW)
        assert np.abs(ours.astype(int) - found[0]).max() <= 2, exif
        turned.add(np.abs(ours.astype(int) - decode(jpeg, SPEC, HOW)).max() > 2)
    assert turned == {False, True}


@pytest.mark.parametrize(
    "error",
    [struct.error("short"), TypeError("x"), KeyError(274), IndexError(), OverflowError("big")],
)
def test_whatever_pillow_stumbles_over_is_a_reason_that_names_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    content = as_png(picture())

    def stumble(self: Image.Image) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "load", stumble)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", stumble, raising=False)
    with pytest.raises(UndecodableImage, match=f"cannot be decoded: {type(error).__name__}: "):
        decode(content, SPEC, HOW)
