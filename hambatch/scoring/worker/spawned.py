"""A worker's process before it has a job: how it is started, also ahead of its job, and ended.

A process that is started ahead imports what loads an engine while its parent still reads the
command and plans the run: both take half a second.
"""

import os
import signal
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import util
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from hambatch.scoring.worker.worker_log import WorkerLog
from hambatch.system.packages import import_early
from hambatch.system.shortages import killed_for_memory
from hambatch.system.spawning import spawn_context, start_resource_tracker

GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What a terminal, ``timeout`` or systemd sends to every process of a run."""

NEEDED = ("openvino", "hambatch.backends.openvino_cpu", "hambatch.engines.loading")
"""What a worker on the CPU imports to load an engine."""

END_SECONDS = 5.0
"""How long a process that was killed may take to end."""

END_PRIORITY = 10
"""Of ending workers among what multiprocessing does before it waits for its processes."""


class Spawned:
    """One process, the parent's end of its pipe, and its log.

    Raises OSError where the machine allows no further process. ``ahead``: it imports what the CPU's
    worker needs before it takes its job.

    Attributes
    ----------
    killed_before
        How many processes the kernel had killed for lack of memory when it was started.
    """

    def __init__(self, *, ahead: bool = False) -> None:
        self.killed_before, self.log = killed_for_memory(), WorkerLog()
        # Spawn: a fork would copy the parent's threads' locks into the child.
        context = spawn_context()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=begin, args=(theirs, self.log, ahead), daemon=True)
        with _group_signals_blocked():
            self.process.start()
            # When the interpreter ends, multiprocessing sends SIGTERM, which a worker ignores,
            # and waits. Not in a fork of this process, whose worker it is not.
            self._at_end = util.Finalize(
                self, _end, (self.process, self.connection), exitpriority=END_PRIORITY
            )
        theirs.close()
        _CONNECTIONS.add(self.connection)

    def ended(self) -> None:
        """Let go of a process that has ended."""
        self._at_end.cancel()
        self.log.close()

    def end(self) -> None:
        """End a process that nobody needs."""
        _end(self.process, self.connection)
        self.ended()


@contextmanager
def started_ahead() -> Iterator[None]:
    """Start the process of the first worker that comes before the end; unneeded, it ends then.

    Where the machine allows none, the worker that needs one says so.
    """
    with suppress(OSError):
        _AHEAD.append(Spawned(ahead=True))
    try:
        yield
    finally:
        while _AHEAD:
            _AHEAD.pop().end()


def take_spawned() -> Spawned:
    """Give the process that was started ahead, or start one; raises OSError as that."""
    return _AHEAD.pop() if _AHEAD else Spawned()


_AHEAD: list[Spawned] = []


def begin(connection: Connection, log: WorkerLog, ahead: bool) -> None:
    """Be the worker: whatever this process prints goes to ``log``."""
    # Decoders print a line for every broken file, from native code: the pipeline reads it there.
    log.become_stderr()
    # The parent handles them. It started this process with both blocked, so that none can come
    # before these lines; what came meanwhile is dropped here.
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if ahead:
        import_early(NEEDED)
    from hambatch.scoring.worker.main import run

    run(connection)


def _end(process: BaseProcess, connection: Connection) -> None:
    """End a process that nobody holds any more, or whose interpreter ends."""
    process.kill()
    connection.close()
    process.join(END_SECONDS)


_CONNECTIONS: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _let_go() -> None:
    """Close what a fork inherits: a worker ends when nobody has the other end of its pipe."""
    _AHEAD.clear()
    for connection in list(_CONNECTIONS):
        connection.close()
    _CONNECTIONS.clear()


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def _group_signals_blocked() -> Iterator[None]:
    """Hold back what is sent to the whole group; a process started meanwhile inherits that.

    Between its start and its first line, a signal would end it with a traceback.
    What comes for this process is delivered afterwards.
    """
    # Its first start, which would be the child's, ends by unblocking the same signals.
    start_resource_tracker()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
