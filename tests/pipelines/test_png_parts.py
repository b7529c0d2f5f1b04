"""A PNG holds exactly the pixels and the colours that its header asks for."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from hambatch.pipelines.pillow_lane import PillowLane
from hambatch.pipelines.png_parts import PIECE, lacking_colours, lacking_rows
from hambatch.sources.reading import Fetched
from tests.conftest import jpeg_bytes, png_bytes
from tests.faults.png_absences import Parts, parts_of, written
from tests.faults.png_writing import PNG_ENCODINGS
from tests.pipelines.lanes import HOW, SPEC
from tests.pipelines.odd import picture, raw_png, with_bytes


def of_pixels(inflated: bytes, width: int, height: int) -> bytes:
    """An RGB PNG with these pixels, filters among them, whatever its header says."""
    chunks = parts_of(raw_png(np.zeros((height, width, 3)), 8, 2)).chunks
    return written(Parts(chunks, [zlib.compress(inflated)]))


@pytest.mark.parametrize("side", [1, 2, 5, 97])
@pytest.mark.parametrize("name", PNG_ENCODINGS)
def test_an_intact_file_lacks_nothing(name: str, side: int) -> None:
    content = PNG_ENCODINGS[name](picture(2, side, 60))
    assert (lacking_rows(content), lacking_colours(content)) == ("", "")


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_byte_less_and_a_byte_more_are_noticed_wherever_pieces_end(size: int) -> None:
    # One column: four bytes a row, the filter among them.
    height = size // 4
    whole = bytes(4 * height)
    assert lacking_rows(of_pixels(whole, 1, height)) == ""
    assert f"{len(whole) - 1} of {len(whole)} bytes" in lacking_rows(
        of_pixels(whole[1:], 1, height)
    )
    assert "holds more pixels than" in lacking_rows(of_pixels(whole + b"\0", 1, height))


def test_a_stream_without_its_end_or_with_a_wrong_one_is_noticed() -> None:
    parts = parts_of(png_bytes(1))
    stream = b"".join(parts.pixels)
    for kept, reason in (
        (stream[:-4], "incomplete: the end of the compressed pixels is missing"),
        (stream[:-4] + b"none", "damaged: the pixels cannot be inflated"),
    ):
        assert lacking_rows(written(Parts(parts.chunks, [kept]))).startswith(reason)
    assert lacking_rows(written(Parts(parts.chunks, [stream, b"", b"more"]))) == ""
    assert lacking_rows(jpeg_bytes(1)) == ""


def test_a_bomb_takes_no_memory() -> None:
    bomb = of_pixels(bytes(30_000_000), 10, 10)
    tracemalloc.start()
    assert "holds more pixels than" in lacking_rows(bomb)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_pixels_of_colours_that_the_palette_does_not_hold_are_noticed() -> None:
    chunks = parts_of(PNG_ENCODINGS["palette"](picture(2, 90, 70)))
    (colours,) = (data for kind, data in chunks.chunks if kind == b"PLTE")
    for kept, reason in (
        (len(colours) - 3, f"the palette has {len(colours) // 3 - 1} colours, the pixels need"),
        (0, "PNG of palette colours without a palette"),
    ):
        rest = [(k, colours[:kept] if k == b"PLTE" else d) for k, d in chunks.chunks]
        assert reason in lacking_colours(written(Parts(rest, chunks.pixels)))


@pytest.mark.parametrize("height", [20, 200])
def test_without_dali_the_rows_are_counted_in_the_batch(height: int) -> None:
    content = with_bytes(raw_png(np.ones((100, 40, 3)), 8, 2), 20, struct.pack(">I", height))
    content = written(parts_of(content))
    lane = PillowLane(1, SPEC, HOW)
    lane.feed([Fetched(0, content, "")])
    with pytest.raises(RuntimeError, match="incomplete"):
        lane.collect()
    lane.close()
