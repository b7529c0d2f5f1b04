"""A decoder's warning is found once, whatever else is printed."""

import os
import resource
from pathlib import Path

import pytest

from hambatch.errors import BackendError
from hambatch.pipelines.decoder_log import MOST_BYTES, DecoderLog


@pytest.fixture
def written(tmp_path: Path):
    with (tmp_path / "log").open("a+b", buffering=0) as stream:
        yield stream


@pytest.mark.parametrize(
    "line",
    [
        b"Corrupt JPEG data: premature end of data segment",
        b"Corrupt JPEG data: bad Huffman code",
        b"Corrupt JPEG data: 12 extraneous bytes before marker 0xd9",
        b"Corrupt JPEG data: found marker 0xd9 instead of RST6",
        b"Premature end of JPEG file",
        b"Warning: unknown JFIF revision number 3.01",
        b"\x1b[0;31m[ERROR] \x1b[0m[nvjpeg_hw_decoder] Could not decode jpeg code stream - 3",
    ],
)
def test_a_warning_is_found_once(written, line: bytes) -> None:
    log = DecoderLog(written.fileno())
    assert log.warning() == ""
    written.write(b"[ERROR] something else\n" + line + b"\n")
    found = log.warning()
    assert found
    assert found in line.decode()
    assert log.warning() == ""


def test_other_lines_are_no_warning(written) -> None:
    written.write(b"Corrupt JPEG data: bad Huffman code\n")
    log = DecoderLog(written.fileno())
    written.write(b"libpng warning: iCCP: known incorrect sRGB profile\nUserWarning: ...\n")
    assert log.warning() == ""


def test_a_line_that_comes_in_pieces_counts_when_it_is_whole(written) -> None:
    log = DecoderLog(written.fileno())
    written.write(b"Corrupt JPEG data: bad Huff")
    assert log.warning() == ""
    written.write(b"man code\n")
    assert log.warning() == "bad Huffman code"


def test_a_long_log_is_emptied_and_goes_on(written) -> None:
    log = DecoderLog(written.fileno())
    written.write(b"x" * (MOST_BYTES + 1))
    assert log.is_long
    log.warning()
    log.shorten()
    assert os.fstat(written.fileno()).st_size < 10
    written.write(b"Corrupt JPEG data: bad Huffman code\n")
    assert log.warning() == "bad Huffman code"


def test_where_stderr_is_no_file_there_is_no_warning_and_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    (tmp_path / "only").touch()
    only_written = os.open(tmp_path / "only", os.O_WRONLY)
    for descriptor in (writing, only_written, 999):
        log = DecoderLog(descriptor)
        assert not log.is_readable
        assert log.warning() == ""
        log.shorten()
    for descriptor in (reading, writing, only_written):
        os.close(descriptor)


def test_our_own_byte_in_the_middle_of_a_line_hides_nothing(written) -> None:
    log = DecoderLog(written.fileno())
    for piece in (b"Corrupt JPEG ", b"data: bad Huff", b"man code\n"):
        assert log.warning() == ""
        written.write(piece)
    assert log.warning() == "bad Huffman code"


def test_a_required_log_that_cannot_be_read_is_an_error() -> None:
    reading, writing = os.pipe()
    with pytest.raises(BackendError, match="no file that can be read"):
        DecoderLog(writing, required=True)
    os.close(reading)
    os.close(writing)


def test_a_log_that_cannot_grow_is_an_error_and_not_silence(written, tmp_path: Path) -> None:
    log = DecoderLog(written.fileno())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    written.write(b"x" * 100)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(BackendError, match=r"(?s)File too large.*Next: .*ulimit -f"):
            log.warning()
        with pytest.raises(BackendError, match="File too large"):
            DecoderLog(written.fileno())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (tmp_path / "overwritten").write_bytes(b"long")
    with (
        (tmp_path / "overwritten").open("r+b") as stream,
        pytest.raises(BackendError, match="does not grow"),
    ):
        DecoderLog(stream.fileno())


def test_the_log_is_emptied_well_before_the_limit_on_file_sizes(written) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        log = DecoderLog(written.fileno())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    written.write(b"x" * 6_000)
    assert log.is_long
