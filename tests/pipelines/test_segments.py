"""Segments and chunks are found as libjpeg and libpng find them, and a walk ends in any file."""

import pytest

from hambatch.pipelines.segments import END_OF_IMAGE, START_OF_SCAN, jpeg_segments, png_chunks
from tests.conftest import jpeg_bytes, png_bytes


def test_garbage_fill_bytes_and_the_data_of_a_scan_are_passed_over() -> None:
    scan = b"\xff\xda\x00\x02" + b"\x01\xff\x00\xff\xd0\x02"
    content = b"\xff\xd8garbage\xff\xff\xe1\x00\x03x" + scan + b"\xff\xd9behind"
    found = [(marker, content[start:end]) for marker, start, end in jpeg_segments(content)]
    assert found == [
        (0xE1, b"\xff\xe1\x00\x03x"),
        (START_OF_SCAN, b"\xff\xda\x00\x02"),
        (END_OF_IMAGE, b"\xff\xd9"),
    ]


def test_chunks_end_with_the_file_or_before_the_chunk_iend() -> None:
    content = png_bytes(1)
    kinds = [kind for kind, _, _ in png_chunks(content)]
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IDAT")
    *_, (kind, _, end) = png_chunks(content[:-30])
    assert (kind, end) == (b"IDAT", len(content) - 30)


@pytest.mark.parametrize("walk", [jpeg_segments, png_chunks])
def test_a_file_cut_off_anywhere_is_walked_to_its_end(walk) -> None:  # type: ignore[no-untyped-def]
    content = jpeg_bytes(1) if walk is jpeg_segments else png_bytes(1)
    for end in range(8, len(content), 7):
        assert all(start <= len(content) for _, start, _ in walk(content[:end]))
