"""Measuring in turns: every task in a process of its own, one turn each, round by round.

A noisy minute is then noisy for everything that is compared.
"""

import gc
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from hambatch.errors import BackendError, EngineError, HambatchError, InputError, MissingDependency
from hambatch.system.spawning import spawn_context

STOP_SECONDS = 5.0
"""How long a process may take to end by itself."""

TASKS_AT_MOST = 32
"""Things measured at once: each keeps its process, and a loaded engine is some 300 MB."""

Settings = Mapping[str, str | int | float]

Show = Callable[[Iterable[str], int], Iterable[str]]
"""Wraps the schedule to show how far it is; given the number of turns."""

_PICKLED = (InputError, EngineError, BackendError, MissingDependency)
"""Errors that arrive in the parent as what they are; any other becomes a BackendError."""


@dataclass(frozen=True)
class Turn:
    """What one repeat of one thing took.

    CPU seconds and memory are of all processes that worked on it; megabytes are 10^6 bytes, and
    the peak is since the process started. ``samples_ms`` are latencies of single requests, where
    these are measured. Only a whole run has ``start_s``, its loading before the clock started,
    and ``sentinels``, scored in addition to its images.
    """

    images: int
    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    samples_ms: tuple[float, ...] = ()
    start_s: float | None = None
    sentinels: int = 0

    @property
    def images_per_s(self) -> float:
        """The rate of this turn."""
        return self.images / self.seconds

    @property
    def cpu_cores(self) -> float:
        """Cores busy on average."""
        return self.cpu_seconds / self.seconds


def timed(work: Callable[[], int]) -> Turn:
    """Run ``work``, which gives the number of images it did, in this process alone."""
    cpu, started = time.process_time(), time.perf_counter()
    images = work()
    seconds, busy = time.perf_counter() - started, time.process_time() - cpu
    return Turn(images, seconds, busy, peak_rss_mb(os.getpid()))


def peak_rss_mb(pid: int) -> float:
    """Read a process's peak resident memory in 10^6 bytes; 0 where it is gone.

    Not from ``getrusage``: that carries over from the process that spawned it.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    kib = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(next(kib, 0)) * 1024 / 1e6


@dataclass(frozen=True)
class Loaded:
    """A task that is loaded: what takes a turn, and what releases what it holds."""

    turn: Callable[[], Turn]
    close: Callable[[], None] = lambda: None


class Task(Protocol):
    """Something to measure: plain values, so that it can be sent to its process."""

    def load(self) -> Loaded:
        """Do what comes before the first turn, in the process that takes the turns."""
        ...


@contextmanager
def child_of(task: Task) -> Iterator[Callable[[], Turn]]:
    """Load a task in a process of its own; gives what has it take a turn, and waits for that.

    Raises what the task raised as it was loaded, or in its turn.
    """
    # Spawn: a fork would share the parent's memory, and its peak.
    context = spawn_context()
    connection, theirs = context.Pipe()
    # No daemon: these may have no children, and a whole run has its worker.
    process = context.Process(target=serve, args=(theirs, task))
    process.start()
    theirs.close()

    def receive() -> Any:
        try:
            answer = connection.recv()
        except (EOFError, ConnectionResetError):
            process.join(STOP_SECONDS)
            raise BackendError(
                f"the measuring process was lost (exit code {process.exitcode}).\n"
                "Next: measure less at once: a smaller --batch-size, fewer combinations"
            ) from None
        if isinstance(answer, HambatchError):
            raise answer
        return answer

    def turn() -> Turn:
        connection.send(True)
        taken: Turn = receive()
        return taken

    try:
        receive()
        yield turn
    except BaseException:
        process.kill()
        raise
    finally:
        connection.close()
        process.join(STOP_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()


def serve(connection: Connection, task: Task) -> None:
    """Load, then take a turn at each request of the parent, until it is gone."""
    # The parent decides what Ctrl-C means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            _serve_turns(connection, task)
        except HambatchError as error:
            connection.send(error if isinstance(error, _PICKLED) else BackendError(str(error)))
    # OpenVINO's queue and its callback hold each other. Left to the end of the interpreter,
    # about one process in five was aborted by a thread that found no interpreter.
    gc.collect()


def _serve_turns(connection: Connection, task: Task) -> None:
    with closing(task.load()) as loaded:
        connection.send(None)
        while connection.recv():
            connection.send(loaded.turn())


@dataclass(frozen=True)
class Measured:
    """The turns of one task, one a repeat."""

    turns: tuple[Turn, ...]
    warmup_images: int

    @property
    def images_per_s(self) -> list[float]:
        """The rate of every repeat."""
        return [turn.images_per_s for turn in self.turns]


def unseen(schedule: Iterable[str], total: int) -> Iterable[str]:
    """Show nothing."""
    return schedule


def take_turns(tasks: Mapping[str, Task], repeats: int, show: Show = unseen) -> dict[str, Measured]:
    """Let every task take ``repeats`` turns, one after the other, round by round.

    The first round warms up and is dropped. Every round begins with another task,
    so that none is always the one after the same other.

    Raises
    ------
    InputError
        If there are more than :data:`TASKS_AT_MOST` tasks.
    HambatchError
        As a task raised it.
    """
    if len(tasks) > TASKS_AT_MOST:
        raise InputError(
            f"{len(tasks)} combinations to measure, wanted at most {TASKS_AT_MOST}.\n"
            "Next: give fewer values at once, and compare the results: hambatch bench compare"
        )
    with ExitStack() as stack:
        children = {key: stack.enter_context(child_of(task)) for key, task in tasks.items()}
        turns: dict[str, list[Turn]] = {key: [] for key in tasks}
        order = schedule(list(tasks), repeats + 1)
        for key in show(order, len(order)):
            turns[key].append(children[key]())
    return {key: Measured(tuple(found[1:]), found[0].images) for key, found in turns.items()}


def schedule(keys: Sequence[str], rounds: int) -> list[str]:
    """Order the turns: every key once a round, each round rotated by one."""
    starts = (number % len(keys) for number in range(rounds))
    return [key for start in starts for key in (*keys[start:], *keys[:start])]


@dataclass(frozen=True)
class Case:
    """A task, and how a result names and describes it."""

    name: str
    stage: str
    settings: Settings
    task: Task


def measure(
    cases: Iterable[Case], repeats: int, show: Show = unseen
) -> list[tuple[Case, Measured]]:
    """Let every case take its turns, see :func:`take_turns`; those of one name are one case."""
    named = {case.name: case for case in cases}
    measured = take_turns({name: case.task for name, case in named.items()}, repeats, show)
    return [(case, measured[name]) for name, case in named.items()]
