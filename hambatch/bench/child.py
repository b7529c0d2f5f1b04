"""Every thing that is measured has a process of its own, which works when it is its turn."""

import gc
import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Protocol

from hambatch.bench.turns import Turn
from hambatch.errors import BackendError, EngineError, HambatchError, InputError, MissingDependency

STOP_SECONDS = 5.0

_SENT_AS_THEY_ARE = (InputError, EngineError, BackendError, MissingDependency)


def _nothing() -> None:
    """Most tasks hold nothing that has to be given back."""


@dataclass(frozen=True)
class Loaded:
    """What a task is once it is loaded: the name of what does the work, and a turn of it."""

    label: str
    turn: Callable[[], Turn]
    close: Callable[[], None] = _nothing


class Task(Protocol):
    """Something to measure: plain values, so that it can be sent to its process."""

    def load(self) -> Loaded:
        """Do what comes before the first turn, in the process that takes the turns."""
        ...


class Child:
    """The process of one task; use it as a context manager.

    Attributes
    ----------
    label
        The name of what does the work, such as ``openvino-fp32``.

    Raises
    ------
    HambatchError
        As the task's loading raised it.
    """

    def __init__(self, task: Task) -> None:
        # Spawn: a fork would share the parent's memory, and its peak.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # No daemon: these may have no children, and a whole run has its worker.
        self._process = context.Process(target=serve, args=(theirs, task))
        self._process.start()
        theirs.close()
        try:
            self.label = str(self._answer())
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def __enter__(self) -> "Child":
        """Return the running process."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let it end; after an error, end it."""
        if error is not None:
            self._process.kill()
        self._connection.close()
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def turn(self) -> Turn:
        """Let it take a turn, and wait for it.

        Raises
        ------
        HambatchError
            If it cannot be done.
        """
        self._connection.send(True)
        answer = self._answer()
        if not isinstance(answer, Turn):
            raise BackendError(f"the measuring process answered {answer!r}, wanted a Turn")
        return answer

    def _answer(self) -> object:
        try:
            answer: object = self._connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(STOP_SECONDS)
            raise BackendError(
                f"the measuring process was lost (exit code {self._process.exitcode}).\n"
                "Next: measure less at once: a smaller --batch-size, fewer combinations"
            ) from None
        if isinstance(answer, HambatchError):
            raise answer
        return answer


def serve(connection: Connection, task: Task) -> None:
    """Load, then take a turn whenever the parent says so, until it is gone."""
    # The parent decides what Ctrl-C means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            _take_turns(connection, task)
        except HambatchError as error:
            sendable = isinstance(error, _SENT_AS_THEY_ARE)
            connection.send(error if sendable else BackendError(str(error)))
    # OpenVINO's queue and its callback hold each other. Left to the end of the interpreter,
    # about one process in five was aborted by a thread that found no interpreter.
    gc.collect()


def _take_turns(connection: Connection, task: Task) -> None:
    loaded = task.load()
    try:
        connection.send(loaded.label)
        while connection.recv():
            connection.send(loaded.turn())
    finally:
        loaded.close()
