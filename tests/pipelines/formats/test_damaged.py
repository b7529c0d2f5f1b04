"""Whatever bytes a file holds, it is decoded or fails with a reason; whole files never fail."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hambatch.checks.verify.row import REASONS
from hambatch.pipelines.formats.table import FORMATS as DECODED
from hambatch.sources.reading import UNLIMITED, Limits
from hambatch.types import Failure
from tests.faults.absences import FORMATS
from tests.faults.jpeg2000_absences import encoded as jpeg2000
from tests.pipelines.formats.written import outcome, saved
from tests.pipelines.odd import picture

pytestmark = pytest.mark.usefixtures("stderr_file")

LIMITS = Limits(UNLIMITED.max_bytes, 10**6, min_side=8)
SMALL = picture(3, 90, 70)
NAMES = sorted(DECODED.keys() & FORMATS.keys())


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """Other bytes in a few places, most of them in the header."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(min(len(changed), 500 if rng.random() < 0.8 else 10**6)))
        what = int(rng.integers(4))
        if what == 0:
            changed[place] = int(rng.integers(256))
        elif what == 1:
            changed[place : place + 4] = rng.choice([b"\xff" * 4, bytes(4), b"\0\0\0\1"])
        elif what == 2:
            del changed[place : place + int(rng.integers(1, 20))]
        else:
            changed[place:place] = changed[place : place + int(rng.integers(1, 20))]
    return bytes(changed)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_gives_pixels_or_a_reason(name: str) -> None:
    rng = np.random.default_rng(len(name))
    whole = [encode(SMALL) for encode in FORMATS[name].encodings.values()]
    ends = [outcome(damaged(rng, whole[k % len(whole)]), LIMITS) for k in range(60)]
    failed = [end for end in ends if isinstance(end, Failure)]
    assert failed
    assert all("\n" not in end.reason for end in failed)
    # Else `hambatch verify` would not take the table for one of a run.
    assert [end.reason for end in failed if not end.reason.startswith(REASONS)] == []


def masked(colour: tuple[int, int, int]) -> Image.Image:
    """A round picture in a large area of one colour, as dermatoscopes give it."""
    image = picture(5, 800, 600)
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse((200, 60, 600, 540), fill=255)
    return Image.composite(image, Image.new("RGB", image.size, colour), mask)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255)])
def test_large_areas_of_one_colour_are_no_hole(colour: tuple[int, int, int]) -> None:
    image = masked(colour)
    files = {
        "WebP": saved(image, "WEBP", lossless=True, method=0),
        "lossy WebP": saved(image, "WEBP", quality=90),
        "AVIF": saved(image, "AVIF", quality=90, speed=9),
        "JPEG 2000": saved(image, "JPEG2000"),
        "plain TIFF": saved(image, "TIFF"),
        "packed TIFF": saved(image, "TIFF", compression="packbits"),
        "LZW": saved(image, "TIFF", compression="tiff_lzw"),
        "BMP": saved(image, "BMP"),
        "GIF": saved(image.quantize(200), "GIF"),
    }
    reasons = {name: getattr(outcome(content), "reason", "") for name, content in files.items()}
    assert not any(reasons.values()), reasons


@pytest.mark.parametrize("order", ["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"])
def test_every_order_of_packets_is_walked_to_its_end(order: str) -> None:
    several = {"quality_layers": [30, 8, 1], "num_resolutions": 4, "precinct_size": (64, 64)}
    places = {"tile_size": (90, 70), "offset": (13, 7), "tile_offset": (3, 1)}
    content = jpeg2000(
        picture(2, 200, 150), progression=order, codeblock_size=(16, 16), **several, **places
    )
    assert DECODED["jpeg2000"].lacking(content) == ""
