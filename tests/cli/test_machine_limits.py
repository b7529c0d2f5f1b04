"""What the machine refuses is one message with a next step, no traceback, and leaves nothing."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import jpeg_bytes

NO_LOCKS = """
import errno, fcntl, os
def flock(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = flock
"""

NO_THREADS = """
import os, sys, threading
def start(*_):
    raise RuntimeError("can't start new thread")
if sys.argv[:1] != ["-c"]:
    threading._start_new_thread = start
"""

# OpenBLAS does so where it may start no threads.
NO_THREADS_FOR_NUMPY = (
    NO_THREADS
    + """
def imported(event, of):
    if event == "import" and of[0] == "numpy":
        os.kill(os.getpid(), 2)
sys.addaudithook(imported)
"""
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limits") / "images"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(jpeg_bytes(1))
    return folder


def refused(
    *words: object, cwd: Path, before: Callable[[], None] | None = None, path: str = ""
) -> str:
    """Run a command that has to end with exit code 1, without a traceback; gives its message."""
    line = [sys.executable, "-m", "hambatch", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": path} if path else None
    done = subprocess.run(
        line, cwd=cwd, env=environment, preexec_fn=before, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Next: " in done.stderr
    return done.stderr


@pytest.mark.parametrize("command", ["score", "verify", "doctor"])
def test_a_current_folder_that_was_deleted_is_one_message(
    command: str, images: Path, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    out = tmp_path / "p.csv"
    words = {"score": (images, "--out", out), "verify": (out, images), "doctor": ()}[command]
    said = refused(command, *words, cwd=gone, before=gone.rmdir)
    assert "the current folder cannot be used: No such file or directory" in said
    assert not list(tmp_path.iterdir())


def test_a_refused_lock_leaves_no_journal(images: Path, tiny_engine: Path, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "sitecustomize.py").write_text(NO_LOCKS)
    words = "score", images, "--out", tmp_path / "p.csv", "--engine", tiny_engine
    said = refused(*words, cwd=tmp_path, path=str(tmp_path / "code"))
    assert "without locks (No locks available)" in said
    assert [path.name for path in tmp_path.iterdir()] == ["code"]


def test_too_little_address_space_is_one_message(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    def limit() -> None:
        # The parent fits; DALI's libraries do not.
        resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))

    words = "score", images, "--out", tmp_path / "p.csv", "--engine", tiny_engine
    said = refused(*words, "--device", "cpu", cwd=tmp_path, before=limit)
    assert "too little memory" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [NO_THREADS, NO_THREADS_FOR_NUMPY], ids=["ours", "numpy's"])
def test_a_limit_of_threads_is_one_message(
    code: str, images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "sitecustomize.py").write_text(code)
    words = "score", images, "--out", tmp_path / "p.csv", "--engine", tiny_engine
    said = refused(*words, "--device", "cpu", cwd=tmp_path, path=str(tmp_path / "code"))
    assert "the system started no more threads" in said
    assert "ulimit -u" in said
    assert [path.name for path in tmp_path.iterdir()] == ["code"]
