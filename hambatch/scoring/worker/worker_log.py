"""What a worker prints: kept where its parent can read it, and not on the terminal."""

import fcntl
import os
import tempfile
from multiprocessing import reduction
from typing import Any

STDERR = 2
"""The file descriptor."""


class WorkerLog:
    """What a worker prints; made by the parent, inherited by the worker, and read by both.

    It lies in memory where the system can do that: on a full disk a decoder's
    warning would be lost, and a damaged image pass for a whole one.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = _nameless_file() if descriptor is None else descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        """Hand the descriptor to the process that is being spawned."""
        return _inherited, (reduction.DupFd(self._descriptor),)

    def become_stderr(self) -> None:
        """Send what this process prints to the log, from native code too."""
        os.dup2(self._descriptor, STDERR)
        self.close()

    def last_words(self, most: int) -> str:
        """Give the last ``most`` bytes as text, without NULs, which only test the log."""
        start = max(0, os.fstat(self._descriptor).st_size - most)
        printed = os.pread(self._descriptor, most, start)
        return printed.replace(b"\0", b"").decode(errors="replace").strip()

    def close(self) -> None:
        """Let go of the file; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _inherited(handle: Any) -> WorkerLog:
    return WorkerLog(handle.detach())


def _nameless_file() -> int:
    try:
        descriptor = os.memfd_create("hambatch-worker")
    except (AttributeError, OSError):
        # No Linux, or one that does not let us.
        with tempfile.TemporaryFile() as stream:
            descriptor = os.dup(stream.fileno())
    # Several threads print, and the log is emptied now and then: no place in it is to be kept.
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
    return descriptor
