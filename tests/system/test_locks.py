"""One holder at a time: others wait or are refused at once, and a removed file locks nothing."""

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.system.locks import MARK, acquire, is_held, locked, locked_in
from tests.waiting import HANGS_S


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_second_run_is_refused_with_the_process_that_holds_the_lock(
    tmp_path: Path, folder: int
) -> None:
    lock = tmp_path / "lock"
    with locked(lock, folder, tmp_path / "preds.csv"):
        assert lock.read_bytes() == MARK + f"{os.getpid()}\n".encode()
        with (
            pytest.raises(InputError, match=rf"preds\.csv \(process {os.getpid()}\)"),
            locked(lock, folder, tmp_path / "preds.csv"),
        ):
            pass
    with locked(lock, folder, tmp_path / "preds.csv"):
        assert lock.stat().st_mode & 0o777 == 0o600


def test_a_file_system_without_locks_is_refused_by_a_run_and_no_matter_to_a_builder(
    tmp_path: Path, folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def flock(descriptor: int, operation: int) -> None:
        calls.append(operation)
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    message = r"without locks \(No locks available\)"
    with (
        pytest.raises(InputError, match=message),
        locked(tmp_path / "lock", folder, tmp_path / "out"),
    ):
        pass
    with locked_in(folder, "KEY.lock"):
        assert not is_held(folder, "KEY.lock")
    assert len(calls) == 4  # a run's folder and file, a builder's file, whether it is held


def test_a_builder_waits_for_the_other_and_is_seen_to_hold_the_lock(folder: int) -> None:
    assert not is_held(folder, "KEY.lock")
    entered = threading.Event()

    def other() -> None:
        with locked_in(folder, "KEY.lock"):
            entered.set()

    waiting = threading.Thread(target=other)
    with locked_in(folder, "KEY.lock"):
        assert is_held(folder, "KEY.lock")
        waiting.start()
        assert not entered.wait(0.2)
    waiting.join(HANGS_S)
    assert entered.is_set()
    assert not is_held(folder, "KEY.lock")


def test_the_lock_of_a_file_that_its_holder_removed_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, taken = tmp_path / "lock", []
    take = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        take(descriptor, operation)
        taken.append(descriptor)
        if len(taken) == 1:
            path.unlink()

    monkeypatch.setattr(fcntl, "flock", flock)
    descriptor = acquire(path, wait=False)
    assert len(taken) == 2
    assert os.path.samestat(path.stat(), os.fstat(descriptor))
    os.close(descriptor)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "gone"])
def test_what_is_no_lock_file_is_not_held(tmp_path: Path, folder: int, kind: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("folder")
    assert not is_held(folder, kind)
    assert (tmp_path / kind).exists() is (kind != "gone")
