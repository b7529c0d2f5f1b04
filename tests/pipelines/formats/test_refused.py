"""What is not decoded says why, before anything is decoded."""

import struct
import sys

import numpy as np
import pytest
from PIL import Image

from hambatch.pipelines.header import is_suspect, refusal
from hambatch.sources.reading import UNLIMITED, Limits
from tests.faults.heif_absences import heic
from tests.faults.tiff_writing import plain, taken, written
from tests.pipelines.formats.written import FEW, LOSSLESS, PICTURE, outcome, reason, saved
from tests.pipelines.odd import as_png

pytestmark = pytest.mark.usefixtures("stderr_file")

LIMITS = Limits(max_bytes=10**9, max_pixels=10**8, min_side=28, max_aspect=8)


def number(content: bytes, place: int, value: int, form: str = "<I") -> bytes:
    """The same file with another number at a place."""
    changed = bytearray(content)
    struct.pack_into(form, changed, place, value)
    return bytes(changed)


def tagged(content: bytes, tag: int, value: int) -> bytes:
    """The same TIFF with another number for a tag."""
    parts = taken(content)
    return written(parts._replace(tags=parts.tags | {tag: (4, 1, struct.pack("<I", value))}))


def pages(*images: Image.Image, tags: list[dict[int, int]]) -> bytes:
    """A TIFF of several pages."""
    first, *others = (image.copy() for image in images)
    for image, own in zip((first, *others), tags, strict=True):
        image.encoderinfo = {"tiffinfo": own}
    return saved(first, "TIFF", save_all=True, append_images=others, tiffinfo=tags[0])


WEBP, TIFF, BMP = (LOSSLESS[name][1] for name in ("lossless.webp", "lzw.tif", "24 bits.bmp"))
JP2, GIF = LOSSLESS["lossless.jp2"][1], LOSSLESS["palette.gif"][1]
GREY = PICTURE.convert("L")

REFUSED = {
    "animated WebP of 2 frames": saved(
        PICTURE, "WEBP", save_all=True, append_images=[PICTURE.rotate(180)]
    ),
    "TIFF of several pages": saved(
        PICTURE, "TIFF", save_all=True, append_images=[PICTURE.rotate(180)]
    ),
    "TIFF of the compression CCITT": saved(GREY.convert("1"), "TIFF", compression="group4"),
    "TIFF of the compression LZMA": saved(PICTURE, "TIFF", compression="lzma"),
    "TIFF of 32 bits a sample": saved(GREY.convert("F"), "TIFF"),
    "TIFF of the colours 8": tagged(TIFF, 262, 8),
    "TIFF of signed or floating-point samples": tagged(TIFF, 339, 2),
    "TIFF of YCbCr without JPEG": tagged(TIFF, 262, 6),
    "BMP of the compression 2": number(LOSSLESS["run lengths.bmp"][1], 30, 2),
    "BMP of 2 bits a pixel": number(BMP, 28, 2, "<H"),
    "JPEG 2000 of two sizes": number(JP2, JP2.index(b"ihdr") + 4, 50, ">I"),
    "JPEG 2000 of the colour space 14": number(JP2, JP2.index(b"colr") + 7, 14, ">I"),
    "AVIF with a crop": saved(PICTURE, "AVIF", quality=90).replace(b"pixi", b"clap"),
    "HEIF of the coding j2k1": heic(PICTURE, quality=50).replace(b"hvc1", b"j2k1"),
    "GIF whose first frame covers 130 x 94 of 200 x 94": number(GIF, 6, 200, "<H"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_decoded_is_named(name: str) -> None:
    assert refusal(REFUSED[name], UNLIMITED).startswith(name)
    assert is_suspect(REFUSED[name], UNLIMITED)


BOMBS = {
    "webp": number(saved(PICTURE, "WEBP"), 26, 0x3FFF3FFF),
    "webp, extended": number(
        saved(PICTURE, "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"), 24, 0xFF3FFF3F, "<I"
    ),
    "tiff": tagged(tagged(TIFF, 256, 2**31), 257, 2**31),
    "bmp": number(number(BMP, 18, 2**30), 22, 2**30),
    "gif": number(GIF, 6, 0xFFFFFFFF),
    "jp2": number(number(JP2, JP2.index(b"\xff\x51") + 6, 2**31 - 1, ">I"), 0, 12, ">I"),
    "avif": (lambda b: number(b, b.index(b"ispe") + 8, 2**31, ">I"))(saved(PICTURE, "AVIF")),
    "heic": (lambda b: number(b, b.index(b"ispe") + 8, 2**31, ">I"))(heic(PICTURE, quality=50)),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_by_its_header(kind: str) -> None:
    found = refusal(BOMBS[kind], LIMITS)
    too_large = found.startswith("too large: ") and found.endswith("(--max-megapixels)")
    # Those of which two parts state a size are refused for that.
    differs = "two sizes" in found or "is coded as" in found or "first frame covers" in found
    assert too_large or differs, found


def test_a_heic_that_is_coded_larger_than_it_states_is_refused() -> None:
    large = heic(PICTURE.resize((800, 600)), quality=10)
    place = large.index(b"ispe") + 8
    small = large[:place] + struct.pack(">II", 100, 90) + large[place + 8 :]
    assert "is coded as 800 x 600" in refusal(small, LIMITS)


def test_a_picture_that_is_too_small_or_narrow_is_refused_in_every_format() -> None:
    tiny, narrow = PICTURE.resize((20, 20)), PICTURE.resize((400, 30))
    for kind in ("WEBP", "TIFF", "BMP", "JPEG2000", "AVIF"):
        assert refusal(saved(tiny, kind), LIMITS).startswith("too small: 20 x 20")
        assert refusal(saved(narrow, kind), LIMITS).startswith("too narrow: 400 x 30")


def test_directories_in_a_circle_or_without_end_are_refused() -> None:
    (first,) = struct.unpack_from("<I", TIFF, 4)
    (count,) = struct.unpack_from("<H", TIFF, first)
    behind = first + 2 + 12 * count
    assert "pages" in refusal(number(TIFF, behind, first), UNLIMITED)
    # Thousands of previews: each directory says that it is one, and where the next is.
    entry = struct.pack("<HHII", 254, 4, 1, 1)
    start, chain = len(TIFF), b""
    for k in range(5000):
        chain += struct.pack("<H", 1) + entry + struct.pack("<I", start + 18 * (k + 1))
    assert "more than 64 pages" in refusal(number(TIFF, behind, start) + chain, UNLIMITED)
    assert "in a circle" in refusal(
        number(TIFF, behind, start) + chain[:14] + struct.pack("<I", start), UNLIMITED
    )


def test_a_tag_of_more_values_than_the_file_holds_is_refused() -> None:
    parts = taken(plain(PICTURE, tile=48))
    content = written(parts)
    place = content.index(struct.pack("<HH", 324, 4))
    assert "lies behind the file" in reason(number(content, place + 4, 2**31))


def test_previews_behind_the_first_page_do_not_count() -> None:
    small = PICTURE.resize((40, 30))
    found = outcome(pages(PICTURE, small, tags=[{}, {254: 1}]))
    assert isinstance(found, tuple), found.reason
    assert np.array_equal(found[0], outcome(as_png(PICTURE))[0])
    assert "several pages" in reason(pages(small, PICTURE, tags=[{254: 1}, {}]))


def test_without_a_decoder_the_row_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    content = heic(PICTURE, quality=50)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert reason(content) == "no decoder for HEIC is installed (pip install 'hambatch[heif]')"


def test_with_one_format_chosen_no_other_decoder_is_tried() -> None:
    # A PNG in the clothes of a TIFF: Pillow would decode it, had it the choice.
    disguised = b"II*\0\x08\0\0\0" + as_png(PICTURE)
    assert reason(disguised).startswith(("incomplete: ", "TIFF ", "damaged: "))


def test_heic_is_decoded_without_becoming_a_format_of_pillows() -> None:
    assert isinstance(outcome(heic(PICTURE, quality=50)), tuple)
    assert "HEIF" not in Image.OPEN


@pytest.mark.parametrize("content", [WEBP, TIFF, BMP, GIF, JP2, saved(FEW, "GIF")])
def test_with_all_formats_off_it_is_no_image(content: bytes) -> None:
    limits = Limits(UNLIMITED.max_bytes, UNLIMITED.max_pixels, all_formats=False)
    assert reason(content, limits).startswith("not a JPEG or PNG image (")


def test_nothing_is_salvaged_of_a_file_that_was_cut_off() -> None:
    limits = Limits(UNLIMITED.max_bytes, UNLIMITED.max_pixels, salvage_truncated=True)
    for content in (WEBP, TIFF, BMP, GIF, JP2):
        assert reason(content[:-300], limits).startswith(("incomplete: ", "damaged: "))
