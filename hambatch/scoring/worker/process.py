"""The parent's side of a worker process: its job, its batches, its answers, its end."""

import os
import select
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

from hambatch.errors import BackendError, HambatchError
from hambatch.scoring.worker.protocol import (
    Alive,
    Answer,
    Finished,
    Hurry,
    Job,
    NoMemory,
    Ready,
    Refused,
    StageTimes,
    Touched,
)
from hambatch.scoring.worker.spawned import take_spawned
from hambatch.sources.reading import Item
from hambatch.system.own_time import LOOK_EVERY, OwnTime, is_stopped
from hambatch.system.shortages import killed_for_memory, lacks_memory

STOP_SECONDS = 5.0
"""How long a process may take to end by itself."""

READY_SECONDS = 300.0
"""Loading takes 1 to 10 s; this is for a cold network disk and a machine that swaps."""

OF_NATIVE_CODE = frozenset(
    (
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGSYS,
    )
)
"""Signals that a decoder can die of. Every other one comes from outside: a terminal, a job queue,
a limit such as ``ulimit -t``."""

LAST_WORDS = 4000
"""Bytes of a dead worker's log that its error message shows."""


class WorkerLost(BackendError):
    """A worker died or hung; ``cause`` says which, in a few words, and ``hung`` which of the two.

    ``last_line`` is the last that the worker printed; ``loaded``: whether it had loaded its engine;
    ``short``: whether memory was short; ``killed``: whether a process from outside, such as the
    kernel, ended or stopped it. Neither says anything about the file that it had. ``crashed``:
    whether it died of a signal.
    """

    def __init__(
        self,
        cause: str,
        last_words: str,
        *,
        hung: bool = False,
        loaded: bool = True,
        short: bool = False,
        killed: bool = False,
        crashed: bool = False,
    ) -> None:
        # What dies before it has loaded anything dies of the machine, such as a broken driver.
        first = "" if loaded else "hambatch doctor, then "
        super().__init__(
            f"the worker process {cause}; its last words:\n{last_words or '(none)'}\n"
            f"Next: {first}run the same command again"
        )
        self.cause, self.hung, self.short, self.killed = cause, hung, short, killed
        self.crashed = crashed
        self.last_line = last_words.rpartition("\n")[2]

    @property
    def in_short(self) -> str:
        """The cause, and the exception that the worker printed, if it did."""
        # With an exit code, an exception was printed: a bug of ours has to be seen. Native code
        # that dies of a signal has at most printed warnings about other files.
        own_words = self.last_line if "exit code" in self.cause else ""
        return f"{self.cause}: {own_words[:200]}" if own_words else self.cause


class Worker:
    """One spawned process; use it as a context manager.

    Parameters
    ----------
    patience
        Seconds without an answer or a sign of life after which the process counts
        as hung and is killed (:class:`OwnTime`); loading the engine has a limit of its own.
    decode_patience
        The same from the moment that the worker has touched a file; default: ``patience``.

    Attributes
    ----------
    ready
        What the worker sent when it had loaded its engine; None before.
    stage_times
        Where its time went; filled when the answers have all been taken.
    troubles
        How many of its batches were not trusted, and why; filled likewise.
    touched
        The file that a worker that goes one by one decodes; None while it reads.
    lost_at_the_end
        Why the process was lost when it had answered everything; empty if it was not.
    """

    def __init__(self, job: Job, patience: float, decode_patience: float | None = None) -> None:
        self._patience = patience
        self._decode_patience = patience if decode_patience is None else decode_patience
        self._spawned = take_spawned()
        self._connection, self._process = self._spawned.connection, self._spawned.process
        # A process that is gone is noticed when its first message is waited for.
        with suppress(OSError):
            self._connection.send(job)
        self.ready: Ready | None = None
        self.stage_times = StageTimes()
        self.troubles: dict[str, int] = {}
        self.touched: Touched | None = None
        self.lost_at_the_end = ""
        self._one_by_one, self._hurry = job.one_by_one, False
        self._owner = os.getpid()
        # Of each batch that is not answered yet, whether its answer is wanted.
        self._in_flight = deque[bool]()

    def __enter__(self) -> "Worker":
        """Return the running worker."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Stop the process, after an error at once."""
        self.stop(at_once=error is not None)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.is_alive()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the process; unless ``at_once``, it has a moment to end by itself.

        In a fork of this process, whose worker it is not, nothing happens.
        """
        if self._owner != os.getpid():
            return
        if at_once:
            self._process.kill()
        self._connection.close()
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._spawned.ended()

    def kill(self) -> None:
        """End the process now; a thread that waits for its answer gets :class:`WorkerLost`."""
        if self._owner == os.getpid():
            self._process.kill()

    def hurry(self) -> None:
        """Leave images out that are not begun; for any thread, and only in batches."""
        self._hurry = not self._one_by_one

    def wait_ready(self) -> Ready:
        """Wait until the engine is loaded.

        Raises what loading raised in the worker, or WorkerLost if it died or takes longer than
        :data:`READY_SECONDS`.
        """
        if self.ready is None:
            message = self._awaited(READY_SECONDS)
            if not isinstance(message, Ready):
                raise BackendError(f"the worker answered {message!r}, wanted Ready")
            self.ready = message
        return self.ready

    def answers(
        self, batches: Iterable[Sequence[Item]], *, stays: bool = False
    ) -> Iterator[Answer]:
        """Send batches, a bounded number ahead; yield their answers in order.

        With ``stays`` the process can be given more batches afterwards: empty ones push the last
        images through its stages. Unless all answers are taken, :meth:`leave` has to be called.

        Raises WorkerLost if the process dies, or does not answer in time.
        """
        window = self.wait_ready().window
        for items in batches:
            self._send(list(items))
            self._in_flight.append(True)
            if len(self._in_flight) >= window:
                yield from self._taken()
        if not stays:
            self._send(None)
            while self._in_flight:
                yield from self._taken()
            self._finish()
        elif any(self._in_flight):
            for _ in range(window - 1):
                self._send([])
            self._in_flight.extend([False] * (window - 1))
            while any(self._in_flight):
                yield from self._taken()

    def leave(self) -> None:
        """Drop the answers that are not taken; of a process that stays."""
        self._in_flight = deque([False] * len(self._in_flight))

    def _taken(self) -> Iterator[Answer]:
        """Take the oldest answer; yield it if it is wanted."""
        answer = self._answer()
        if self._in_flight.popleft():
            yield answer

    def _finish(self) -> None:
        # Every answer is there: a worker that is lost now costs no row, only its times.
        try:
            message = self._awaited(self._patience)
        except WorkerLost as lost:
            self.lost_at_the_end = lost.cause
            return
        except HambatchError as refused:
            self.lost_at_the_end = str(refused).partition("\n")[0].removesuffix(".")
            return
        if isinstance(message, Finished):
            self.stage_times = replace(message.stage_times)
            self.troubles = message.troubles

    def _answer(self) -> Answer:
        self.touched = None
        message = self._awaited(self._patience)
        if isinstance(message, Touched):
            self.touched = message
            message = self._awaited(self._decode_patience)
        if not isinstance(message, Answer):
            raise BackendError(f"the worker answered {message!r}, wanted a batch's scores")
        return message

    def _awaited(self, seconds: float) -> object:
        while True:
            self._say_hurry()
            if not self._in_time(self._connection.poll, seconds):
                raise self._hung(f"gave no answer for {seconds:g} s")
            message = self._receive()
            if not isinstance(message, Alive):
                return message

    def _in_time(self, happened: Callable[[float], bool], seconds: float) -> bool:
        """Wait until something has happened; the worker learns meanwhile that it is to hurry.

        ``happened`` waits for so many seconds at most. False when the worker had its time.
        """
        had = OwnTime(self._process.pid or 0)
        left = seconds
        while not happened(max(0.0, min(left, LOOK_EVERY))):
            if left <= 0:
                return False
            self._say_hurry()
            left = seconds - had.seconds()
        return True

    def _say_hurry(self) -> None:
        if self._hurry and self.ready and _has_room(self._connection, 0):
            self._hurry = False
            # A worker that is gone is noticed when its answer is waited for.
            with suppress(OSError):
                self._connection.send(Hurry())

    def _send(self, items: list[Item] | None) -> None:
        # What it touched last is answered: a loss from here on is of what is sent now.
        self.touched = None
        # A thread of the worker always receives; in a worker that is stopped, or never releases
        # the interpreter's lock, it does not, and sending would wait for ever.
        if not self._in_time(partial(_has_room, self._connection), self._patience):
            raise self._hung(f"took no work for {self._patience:g} s")
        try:
            self._connection.send(items)
        except OSError as error:
            # It may have sent the reason before it ended.
            while self._connection.poll(0):
                self._receive()
            raise self._death() from error

    def _receive(self) -> object:
        try:
            message: object = self._connection.recv()
        except (EOFError, OSError) as error:
            # An OSError that is no reset: it died in the middle of a message.
            raise self._death() from error
        if isinstance(message, Refused):
            raise message.error
        if isinstance(message, NoMemory):
            raise self._lost(f"ran out of memory ({message.words[:200]})", short=message.short)
        return message

    def _hung(self, cause: str) -> WorkerLost:
        stopped = is_stopped(self._process.pid or 0)
        self._process.kill()
        if stopped:
            return self._lost(f"{cause}: it was stopped (SIGSTOP)", killed=True)
        return self._lost(cause, hung=True)

    def _death(self) -> WorkerLost:
        # Its end of the pipe is closed: the rest of its end takes a moment.
        if not self._in_time(self._has_ended, STOP_SECONDS):
            self._process.kill()
            self._process.join()
        code = self._process.exitcode or 0
        if code == -signal.SIGKILL and killed_for_memory() > self._spawned.killed_before:
            return self._lost("was killed for lack of memory (signal 9)", short=True, killed=True)
        short = lacks_memory(self._spawned.log.last_words(LAST_WORDS))
        if code >= 0:
            return self._lost(f"died with exit code {code}", short=short)
        killed = -code not in OF_NATIVE_CODE
        return self._lost(f"died of signal {-code}", short=short, killed=killed, crashed=True)

    def _has_ended(self, seconds: float) -> bool:
        self._process.join(seconds)
        return not self._process.is_alive()

    def _lost(self, cause: str, **known: bool) -> WorkerLost:
        last_words = self._spawned.log.last_words(LAST_WORDS)
        return WorkerLost(cause, last_words, loaded=self.ready is not None, **known)


def _has_room(connection: Connection, seconds: float) -> bool:
    # Linux calls a local socket writable when three quarters of its 200 kB are free.
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
