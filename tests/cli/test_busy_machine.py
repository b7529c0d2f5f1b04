"""A time limit is the process's own: on a busy or stopped machine no good picture fails for it."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import jpeg_bytes
from tests.faults.starving import STARVE

SECONDS = 1
"""``--decode-seconds``."""

# Marked files are decoded while another process keeps the processor busy.
STARVED_DECODER = (
    STARVE
    + """
from PIL import Image
real = Image.open
def open_image(stream, *rest, **options):
    if b"takes-its-time" in (stream.getvalue() if hasattr(stream, "getvalue") else b""):
        starve(2)
    return real(stream, *rest, **options)
Image.open = open_image
"""
)

# Some files kill their decoder; marked ones are decoded when a file is there.
WAITING_DECODER = """
import os, signal, time
from PIL import Image
real = Image.open
def open_image(stream, *rest, **options):
    content = stream.getvalue() if hasattr(stream, "getvalue") else b""
    if b"kills-its-decoder" in content:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"takes-its-time" in content:
        open({place!r} + "/reached", "a").close()
        while not os.path.exists({place!r} + "/go_on"):
            time.sleep(0.01)
    return real(stream, *rest, **options)
Image.open = open_image
"""


def for_pillow(seed: int, mark: bytes) -> bytes:
    content = jpeg_bytes(seed, comment=mark)
    return content[:20] + b"junk" + content[20:]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A file that takes its time, and another one."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "b.jpg").write_bytes(for_pillow(1, b"takes-its-time"))
    (folder / "c.jpg").write_bytes(jpeg_bytes(2))
    return folder


def start(folder: Path, out: Path, engine: Path, code: str) -> "subprocess.Popen[str]":
    place = out.with_name("code")
    place.mkdir()
    (place / "sitecustomize.py").write_text(code)
    named = ["score", folder, "--out", out, "--engine", engine, "--device", "cpu"]
    limits = ["--decode-seconds", SECONDS, "--batch-size", 1]
    return subprocess.Popen(
        [sys.executable, "-m", "hambatch", *map(str, [*named, *limits])],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(place)},
    )


def reasons(out: Path) -> dict[str, str]:
    with out.open(newline="") as stream:
        return {row["image"]: row["reason"] for row in csv.DictReader(stream)}


def test_a_picture_whose_decoder_gets_no_processor_keeps_its_row(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    run = start(images, tmp_path / "p.csv", tiny_engine, STARVED_DECODER)
    _, said = run.communicate()
    assert reasons(tmp_path / "p.csv") == {"b.jpg": "", "c.jpg": ""}
    assert run.returncode == 0, said


def test_a_picture_that_is_decoded_while_the_run_is_stopped_keeps_its_row(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    # After this one, files are decoded alone: what is lost then is a failed row.
    (images / "a.jpg").write_bytes(for_pillow(3, b"kills-its-decoder"))
    code = WAITING_DECODER.format(place=str(tmp_path))
    run = start(images, tmp_path / "p.csv", tiny_engine, code)
    while not (tmp_path / "reached").exists():
        assert run.poll() is None, run.communicate()
        time.sleep(0.01)
    run.send_signal(signal.SIGSTOP)
    # No limit of this test: so much time has to pass in which the run does nothing.
    time.sleep(SECONDS + 0.5)
    run.send_signal(signal.SIGCONT)
    time.sleep(0.1)
    (tmp_path / "go_on").touch()
    run.communicate()
    found = reasons(tmp_path / "p.csv")
    assert found.pop("a.jpg") == "cannot be decoded: the decoder died of signal 11"
    assert found == {"b.jpg": "", "c.jpg": ""}
