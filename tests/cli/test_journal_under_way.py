"""A journal that is damaged under way: a message, no untrue promise, and never two writers."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import jpeg_bytes

STOP_AT_FIRST_ROW = """
import os, signal
write = os.write
def stopping(descriptor, content):
    done = write(descriptor, content)
    if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".journal/rows"):
        os.write = write
        os.kill(os.getpid(), signal.SIGSTOP)
    return done
os.write = stopping
"""


@pytest.fixture
def words(tiny_engine: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "sitecustomize.py").write_text(STOP_AT_FIRST_ROW)
    (tmp_path / "images").mkdir()
    for k in range(2):
        (tmp_path / "images" / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    line = [sys.executable, "-m", "hambatch", "score", "images", "--out", "p.csv"]
    return [*line, "--engine", str(tiny_engine), "--batch-size", "1"]


@contextmanager
def stopped_run(words: list[str], folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A run that stopped itself when it had written its first row."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "code")}
    run = subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
    with run:
        try:
            _, status = os.waitpid(run.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            yield run
        finally:
            run.kill()


def go_on(run: "subprocess.Popen[str]") -> str:
    run.send_signal(signal.SIGCONT)
    _, said = run.communicate()
    assert run.returncode == 1, said
    assert "Traceback" not in said
    assert "\nNext: " in said
    return said


def test_without_the_lock_no_second_run_writes_the_journal(
    words: list[str], tmp_path: Path
) -> None:
    with stopped_run(words, tmp_path) as run:
        (tmp_path / "p.csv.journal" / "lock").unlink()
        other = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert other.returncode == 1
        assert "another run is writing p.csv" in other.stderr
        said = go_on(run)
    assert "the lock of this run, was removed under way" in said
    assert "of 2 images are done and kept: the same command" in said
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert " were done before" in again.stderr or "nothing was left to score" in again.stderr


def test_rows_that_are_gone_are_not_called_kept(words: list[str], tmp_path: Path) -> None:
    with stopped_run(words, tmp_path) as run:
        (tmp_path / "p.csv.journal" / "rows").unlink()
        said = go_on(run)
    assert "the finished rows of this run, was removed under way" in said
    assert "are done and kept" not in said


def test_a_run_whose_journal_another_has_made_anew_leaves_that_alone(
    words: list[str], tmp_path: Path
) -> None:
    with stopped_run(words, tmp_path) as run:
        shutil.rmtree(tmp_path / "p.csv.journal")
        other = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert other.returncode == 0, other.stderr
        table = (tmp_path / "p.csv").read_bytes()
        said = go_on(run)
    assert "are done and kept" not in said
    assert (tmp_path / "p.csv").read_bytes() == table


@pytest.mark.parametrize("keep", [0, 40])
def test_rows_that_are_cut_off_under_way_give_a_message_and_no_row_is_lost(
    words: list[str], tmp_path: Path, keep: int
) -> None:
    with stopped_run(words, tmp_path) as run:
        os.truncate(tmp_path / "p.csv.journal" / "rows", keep)
        said = go_on(run)
    assert "rows was changed under way: the row of image 0" in said
    assert "are done and kept" not in said
    assert not (tmp_path / "p.csv").exists()
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "p.csv").read_text().count(",ok,") == 2
