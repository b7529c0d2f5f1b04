"""The first Ctrl-C or SIGTERM says what is finished, ends soon with 130, and loses nothing."""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import jpeg_bytes
from tests.waiting import HANGS_S, wait_for

IMAGES = 40

# A worker waits until the test lets it go on, so that no signal comes too late.
HELD = """
import multiprocessing, os, sys, time
from PIL import Image
def hold():
    open({place!r} + "/reached", "a").close()
    while not os.path.exists({place!r} + "/go_on"):
        time.sleep(0.02)
def opened(event, of):
    if event == "open" and str(of[0]).endswith("model.onnx") and multiprocessing.parent_process():
        hold()
if {where!r} == "loading":
    sys.addaudithook(opened)
real = Image.open
def open_image(*given, **options):
    if {where!r} == "decoding":
        hold()
    return real(*given, **options)
Image.open = open_image
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files for the slow lane, where Pillow decodes them."""
    folder = tmp_path_factory.mktemp("signals") / "images"
    folder.mkdir()
    for k in range(IMAGES):
        content = jpeg_bytes(k)
        (folder / f"{k:03d}.jpg").write_bytes(content[:20] + b"junk" + content[20:])
    return folder


class Held:
    """A run whose worker waits where it decodes its first file, or where it loads the engine."""

    def __init__(self, where: str, images: Path, engine: Path, place: Path) -> None:
        self.out, self._place = place / "p.csv", place
        (place / "code").mkdir()
        code = HELD.format(place=str(place), where=where)
        (place / "code" / "sitecustomize.py").write_text(code)
        named = ["score", images, "--out", self.out, "--engine", engine, "--device", "cpu"]
        self.command = [sys.executable, "-m", "hambatch", *map(str, named), "--batch-size", "8"]
        environment = {**os.environ, "PYTHONPATH": str(place / "code")}
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, env=environment)

    def wait_until_held(self) -> None:
        rows = self.out.with_name("p.csv.journal") / "rows"
        reached = self._place / "reached"
        wait_for(lambda: rows.exists() and reached.exists(), "the worker is held", self.process)

    def heard(self, words: str) -> bool:
        """Read what the run says until the words come; False if they do not come."""
        assert self.process.stderr
        said = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stderr, selectors.EVENT_READ)
            while words.encode() not in said and selector.select(HANGS_S):
                part = os.read(self.process.stderr.fileno(), 4096)
                if not part:
                    break
                said += part
        return words.encode() in said

    def let_go(self) -> None:
        (self._place / "go_on").touch()

    def end(self) -> None:
        self.let_go()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def held(
    request: pytest.FixtureRequest, images: Path, tiny_engine: Path, tmp_path: Path
) -> Iterator[Held]:
    run = Held(request.param, images, tiny_engine, tmp_path)
    yield run
    run.end()


@pytest.mark.parametrize("held", ["decoding"], indirect=True)
def test_ctrl_c_says_what_is_finished_and_a_file_that_takes_long_is_not_waited_for(
    held: Held,
) -> None:
    held.wait_until_held()
    held.process.send_signal(signal.SIGINT)
    assert held.heard("stopping: finishing the batches under way for 5 s at most")
    assert held.heard("Interrupted")
    assert held.process.wait(HANGS_S) == 130
    assert not held.out.exists()


@pytest.mark.parametrize("held", ["decoding"], indirect=True)
def test_a_service_managers_stop_ends_with_130_also_where_all_images_are_in_hand(
    held: Held, images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    held.wait_until_held()
    held.process.send_signal(signal.SIGTERM)
    assert held.heard("stopping")
    held.let_go()
    assert held.heard(f"of {IMAGES} images are done and kept")
    assert held.process.wait(HANGS_S) == 130
    assert not held.out.exists()
    again = subprocess.run(held.command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert held.out.read_text().count(",ok,") == IMAGES


@pytest.mark.parametrize("held", ["loading"], indirect=True)
def test_ctrl_c_while_the_engine_loads_ends_at_once(held: Held) -> None:
    held.wait_until_held()
    held.process.send_signal(signal.SIGINT)
    assert held.heard("Interrupted")
    assert held.process.wait(HANGS_S) == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_imports_is_no_traceback(number: int, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def imported(event, of):\n"
        "    if event == 'import' and of[0] == 'click':\n"
        f"        os.kill(os.getpid(), {number:d})\n"
        "sys.addaudithook(imported)\n"
    )
    command = [sys.executable, "-m", "hambatch", "samples", str(tmp_path / "samples")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "Interrupted\nrun the same command again\n")
    assert not (tmp_path / "samples").exists()
