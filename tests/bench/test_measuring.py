"""Turns: interleaved, in processes of their own, their errors passed on."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import pytest

from hambatch.bench.measuring import (
    TASKS_AT_MOST,
    Loaded,
    Turn,
    child_of,
    peak_rss_mb,
    schedule,
    take_turns,
    timed,
)
from hambatch.errors import BackendError, EngineError, ExitCode, InputError
from hambatch.system.own_time import cpu_seconds
from tests.waiting import wait_for


@dataclass(frozen=True)
class Noting:
    """Writes down its turns, each with the seconds that it pretends to take."""

    name: str
    diary: Path

    def load(self) -> Loaded:
        return Loaded(self._turn)

    def _turn(self) -> Turn:
        with self.diary.open("a") as stream:
            stream.write(f"{self.name} {os.getpid()}\n")
        return Turn(10, len(self.diary.read_text().splitlines()), 1.0, 1.0)


@dataclass(frozen=True)
class Refusing:
    """Cannot be loaded."""

    def load(self) -> Loaded:
        raise EngineError("no such graph.\nNext: another")


@dataclass(frozen=True)
class Dying:
    """Is gone in the middle of its turn."""

    def load(self) -> Loaded:
        return Loaded(lambda: os._exit(7))


def busy() -> int:
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    return 5


def test_turns_go_round_and_the_first_round_is_dropped(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    measured = take_turns({name: Noting(name, diary) for name in "abc"}, repeats=2)
    lines = [line.split() for line in diary.read_text().splitlines()]
    assert [name for name, _ in lines] == list("abcbcacab")
    assert len({pid for _, pid in lines} | {str(os.getpid())}) == 4
    assert [turn.seconds for turn in measured["a"].turns] == [6, 8]
    assert measured["a"].images_per_s == [10 / 6, 10 / 8]
    assert measured["b"].warmup_images == 10


def test_every_round_has_everything_once() -> None:
    assert schedule("xy", 3) == list("xyyxxy")


def test_what_cannot_be_loaded_is_refused_as_it_is() -> None:
    with pytest.raises(EngineError, match="no such graph"):
        take_turns({"it": Refusing()}, repeats=1)


def test_a_process_that_dies_is_an_error() -> None:
    with child_of(Dying()) as turn, pytest.raises(BackendError, match="exit code 7"):
        turn()


def test_too_many_combinations_are_refused_before_any_starts() -> None:
    tasks = {str(k): Refusing() for k in range(TASKS_AT_MOST + 1)}
    with pytest.raises(InputError, match=f"{TASKS_AT_MOST + 1} combinations"):
        take_turns(tasks, repeats=1)


def test_a_busy_turn_counts_its_cpu_seconds() -> None:
    before, used = cpu_seconds(os.getpid()), time.process_time()
    turn = timed(busy)
    assert turn.images == 5
    assert turn.cpu_seconds >= 0.2
    assert turn.seconds >= turn.cpu_seconds * 0.9
    used = time.process_time() - used
    assert cpu_seconds(os.getpid()) - before == pytest.approx(used, abs=0.05)


def test_the_peak_grows_with_the_memory_used() -> None:
    # In a process of its own: this one has had gigabytes by now.
    code = (
        "print(1, flush=True); input(); block = b'1' * 100_000_000; print(2, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        before = peak_rss_mb(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert 95 < peak_rss_mb(process.pid) - before < 105
        process.stdin.write(b"\n")


def test_a_process_that_is_gone_has_no_memory() -> None:
    assert peak_rss_mb(2**22 + 1) == 0
    assert cpu_seconds(2**22 + 1) == 0


def test_a_stopped_measurement_leaves_nothing_behind(tmp_path: Path, tiny_engine: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "hambatch", "bench", "score", "--engine", str(tiny_engine)]
    process = subprocess.Popen(
        # Few images, drawn and decoded in no time; rounds that go on until they are stopped.
        [*command, "--count", "24", "--batch-size", "4", "--repeats", "1000"],
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    # As late as the first rows of a whole run: everything has been started then.
    with process:
        wait_for(lambda: rows_in(tmp_path), "rows of a whole run", process)
        # As Ctrl-C on a terminal does: to all processes.
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr
        said = process.stderr.read()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in said
    assert not list(tmp_path.glob("hambatch-bench-*"))


def rows_in(folder: Path) -> bytes:
    """Read the journals of all runs that are measured; they come and go."""
    found = b""
    for path in folder.glob("hambatch-bench-*/*/rows"):
        with suppress(FileNotFoundError):
            found += path.read_bytes()
    return found
