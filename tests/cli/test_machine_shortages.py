"""What a machine lacks for a while fails no image: it is waited for, and then the run stops."""

import csv
import importlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.errors import HambatchError
from tests.conftest import jpeg_bytes
from tests.waiting import remove_group

Table = dict[str, dict[str, str]]

NAMES = [f"{letter}.jpg" for letter in "abcdef"]

# A worker changes its own limits when it opens the file; what fails then, fails in the kernel.
AT_FILE = """
import os, resource, signal, sys
# Whoever starts the tests may have it ignored, as nohup does.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
try:
    from hambatch.sources import reading
    reading.WAITS = (0.01, 0.01, 0.01, 0.01)
except ImportError:
    pass
times = 0
def limit(kind, most):
    resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))
def opened(event, of):
    global times
    if event == "open" and str(of[0]).endswith("e.jpg"):
        times += 1
        WHAT_HAPPENS
sys.addaudithook(opened)
"""
NO_HANDLES = "limit(resource.RLIMIT_NOFILE, 3)"
NO_HANDLES_TWICE = "limit(resource.RLIMIT_NOFILE, 3 if times < 3 else 256)"
NO_MEMORY = "limit(resource.RLIMIT_AS, 1_000_000)"
KILLED = "os.kill(os.getpid(), {})"
STUCK = "__import__('time').sleep(600)"
KILLED_BY_THE_KERNEL = """open({group!r} + "/cgroup.procs", "w").write(str(os.getpid()))
        bytearray(200_000_000)"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shortages") / "images"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        (folder / name).write_bytes(jpeg_bytes(seed))
    return folder


@pytest.fixture(scope="module")
def clean(images: Path, tiny_engine: Path) -> Table:
    out = images.parent / "clean.csv"
    assert scored(images, tiny_engine, out).exit_code == 0
    return rows(out)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop at the first loss of a worker that has one file: each start takes a second."""
    for name in ("short_memory", "supervisor"):
        try:
            module = importlib.import_module(f"hambatch.scoring.worker.{name}")
        except ModuleNotFoundError:
            continue  # an earlier version
        monkeypatch.setattr(module, "SHORT_WAITS", (), raising=False)


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A memory cgroup of 30 MB, below the one that the tests run in."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    paths = {kind: path for _, kind, path in (line.split(":", 2) for line in lines)}
    version_1 = "memory" in paths
    mount = "/sys/fs/cgroup/memory" if version_1 else "/sys/fs/cgroup"
    group = Path(mount + paths.get("memory", paths.get("", ""))) / f"hambatch-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made: {error}")
    try:
        most = "memory.limit_in_bytes" if version_1 else "memory.max"
        if not (group / most).exists():
            pytest.skip("no memory cgroup can be made: its controller is not delegated")
        (group / most).write_text("30000000")
        yield group
    finally:
        remove_group(group)


def scored(folder: Path, engine: Path, out: Path, *options: object) -> Result:
    words = ["score", folder, "--out", out, "--engine", engine, "--device", "cpu", "--threads", 1]
    every = ["--batch-size", 1, "--sentinel-every", 1, *options]
    return CliRunner().invoke(hambatch, [*map(str, words), *map(str, every)])


def rows(path: Path) -> Table:
    with path.open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def happens(what: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "code").mkdir()
    (place / "code" / "sitecustomize.py").write_text(AT_FILE.replace("WHAT_HAPPENS", what))
    monkeypatch.setenv("PYTHONPATH", str(place / "code"))


def stopped(images: Path, engine: Path, out: Path, *options: object) -> str:
    """Score with a fault that lasts; gives the message, which has to say what to do."""
    result = scored(images, engine, out, *options)
    assert result.exit_code == 1, (result.output, rows(out) if out.exists() else "")
    assert isinstance(result.exception, HambatchError)
    assert not out.exists()
    said = str(result.exception)
    assert "\nNext: " in said
    return "\n".join([said, *getattr(result.exception, "__notes__", ())])


@pytest.mark.parametrize(
    ("what", "said", "remedy"),
    [
        (NO_HANDLES, "e.jpg cannot be read: Too many open files", "ulimit -n"),
        (NO_MEMORY, "too little memory for", "free memory"),
    ],
)
def test_a_lasting_shortage_stops_the_run_which_can_then_be_resumed(
    images: Path,
    clean: Table,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    said: str,
    remedy: str,
) -> None:
    out = tmp_path / "p.csv"
    with monkeypatch.context() as until_it_is_mended:
        happens(what, tmp_path, until_it_is_mended)
        message = stopped(images, tiny_engine, out)
    assert said in message
    assert remedy in message
    assert re.search("[1-4] of 6 images are done and kept", message)
    assert scored(images, tiny_engine, out).exit_code == 0
    assert rows(out) == clean


def test_handles_that_come_back_cost_nothing(
    images: Path,
    clean: Table,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happens(NO_HANDLES_TWICE, tmp_path, monkeypatch)
    assert scored(images, tiny_engine, tmp_path / "p.csv").exit_code == 0
    assert rows(tmp_path / "p.csv") == clean


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGKILL, "killed from outside at"),
        # A limit of processor time (ulimit -t), and a terminal that is gone.
        (signal.SIGXCPU, "killed from outside at"),
        (signal.SIGHUP, "killed from outside at"),
        # A page of a library that the disk does not give.
        (signal.SIGBUS, "lost before decoding"),
    ],
)
def test_a_worker_killed_while_it_reads_fails_no_image(
    images: Path,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    said: str,
) -> None:
    happens(KILLED.format(int(number)), tmp_path, monkeypatch)
    message = stopped(images, tiny_engine, tmp_path / "p.csv")
    assert f"{said} {images / 'e.jpg'}" in message
    assert f"died of signal {number}" in message


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (STUCK, "no disk or network folder answers at"),
        (KILLED.format(19), "killed from outside at"),
    ],
    ids=["disk", "stopped"],
)
def test_a_worker_that_cannot_go_on_reading_fails_no_image(
    images: Path,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    said: str,
) -> None:
    happens(what, tmp_path, monkeypatch)
    message = stopped(images, tiny_engine, tmp_path / "p.csv", "--decode-seconds", 1)
    assert f"{said} {images / 'e.jpg'}" in message
    assert "gave no answer for 1 s" in message


def test_a_worker_killed_for_lack_of_memory_fails_no_image(
    images: Path,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory_group: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    happens(KILLED_BY_THE_KERNEL.format(group=str(memory_group)), tmp_path, monkeypatch)
    message = stopped(images, tiny_engine, tmp_path / "p.csv", "--batch-size", 4)
    assert "memory is short: going on with batch_size 1" in caplog.text
    assert "e.jpg, alone and on one thread" in message
    assert "was killed for lack of memory (signal 9)" in message


def test_a_disk_that_fails_at_one_file_stops_the_run_until_the_file_is_moved_away(
    images: Path,
    clean: Table,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happens("pass", tmp_path, monkeypatch)
    folder, out = tmp_path / "images", tmp_path / "p.csv"
    shutil.copytree(images, folder)
    # Linux answers EIO to whoever reads the first byte of its own memory.
    (folder / "g.jpg").symlink_to("/proc/self/mem")
    message = stopped(folder, tiny_engine, out, "--follow-symlinks")
    assert "g.jpg cannot be read: Input/output error" in message
    assert "move it to another folder" in message

    (folder / "g.jpg").unlink()
    assert scored(folder, tiny_engine, out, "--follow-symlinks").exit_code == 3
    found = rows(out)
    assert found.pop("g.jpg")["reason"] == "cannot be read: No such file or directory"
    assert found == clean
