"""Processes of multiprocessing that never run the program which starts them.

Multiprocessing's own spawn imports the main module again in every process, so a script without
``if __name__ == "__main__"`` starts itself over and over; and it takes over the whole search path,
so a file beside the script may hide a package. Ours do neither. Other users of multiprocessing in
the same program are not affected.
"""

import io
import multiprocessing
import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import popen_spawn_posix, process, reduction, resource_tracker, spawn, util
from multiprocessing.context import SpawnContext, SpawnProcess, set_spawning_popen
from typing import Any

from hambatch.errors import BackendError
from hambatch.system.inherited import settle_environment, settle_home
from hambatch.system.search_path import path_of_children


def spawn_context() -> "OwnContext":
    """Give multiprocessing's spawn, whose processes are :class:`OwnProcess`."""
    return _CONTEXT


def start_resource_tracker() -> None:
    """Start multiprocessing's helper process with ``-P`` as well, if it does not run yet."""
    with _safe_path():
        resource_tracker.ensure_running()


class OwnProcess(SpawnProcess):
    """A process that imports nothing of the program's, and settles its environment first.

    What crosses to it has to be found in an installed module, not in the program.
    """

    @staticmethod
    def _Popen(process_obj: process.BaseProcess) -> Any:
        return _OwnPopen(process_obj)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        _OURS.add(self)

    def start(self) -> None:
        """Start it; raises BackendError where Python allows no further process."""
        if multiprocessing.current_process().daemon:
            raise BackendError(
                "this is a daemonic process of multiprocessing, which may start no other; wanted "
                "one that may.\nNext: concurrent.futures.ProcessPoolExecutor instead of "
                "multiprocessing.Pool, or hambatch in the main process"
            )
        if util.is_exiting():
            raise BackendError(
                "the interpreter is ending: no process is started any more.\n"
                "Next: wait for the thread that scores before the program ends"
            )
        super().start()

    def __reduce__(self) -> tuple[Any, ...]:
        """Settle the environment of the new process before anything else is loaded there."""
        return _made, (type(self),), self.__dict__


def _made(kind: type[OwnProcess]) -> OwnProcess:
    # A command has done both for itself; a program that imports hambatch keeps its environment.
    settle_environment()
    settle_home()
    return kind.__new__(kind)


class OwnContext(SpawnContext):
    """Spawn, with :class:`OwnProcess`."""

    Process = OwnProcess


class _OwnPopen(popen_spawn_posix.Popen):
    """Starts a process with what it needs, and nothing about the main module."""

    _fds: list[int]
    finalizer: util.Finalize
    sentinel: int

    def _launch(self, process_obj: Any) -> None:
        tracker = resource_tracker.getfd()
        content = io.BytesIO()
        set_spawning_popen(self)
        try:
            reduction.dump(_preparation(process_obj.name), content)
            reduction.dump(process_obj, content)
        finally:
            set_spawning_popen(None)
        ended, held = os.pipe()
        theirs, ours = os.pipe()
        try:
            command = spawn.get_command_line(tracker_fd=tracker, pipe_handle=theirs)
            passed = [fd for fd in (*self._fds, tracker, theirs, held) if fd is not None]
            executable: Any = spawn.get_executable()
            self.pid = util.spawnv_passfds(executable, _safely(command), passed)
            self.sentinel = ended
            with open(ours, "wb", closefd=False) as stream:
                stream.write(content.getvalue())
        finally:
            self.finalizer = util.Finalize(self, _close_all, (ended, ours))
            os.close(theirs)
            os.close(held)


def _close_all(*descriptors: int) -> None:
    for one in descriptors:
        os.close(one)


def _preparation(name: str) -> dict[str, Any]:
    """What multiprocessing's ``spawn.prepare`` sets in the new process."""
    found = {
        "name": name,
        "authkey": multiprocessing.current_process().authkey,
        "log_to_stderr": getattr(util, "_log_to_stderr", False),
        "sys_path": path_of_children(),
        "orig_dir": process.ORIGINAL_DIR,  # type: ignore[attr-defined]
        "start_method": "spawn",
    }
    try:
        found["dir"] = os.getcwd()
    except OSError:  # deleted: it stays where it is
        pass
    return found


def _safely(command: list[str]) -> list[str]:
    """Add ``-P`` to a command of multiprocessing, which begins with the interpreter and ``-c``."""
    # PYTHONSAFEPATH in the environment would do the same, but not under python -E.
    if getattr(sys, "frozen", False) or {"-I", "-P"} & set(command):
        return command
    return [command[0], "-P", *command[1:]]


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let the resource tracker, which multiprocessing starts itself, be started with ``-P``."""
    before = util._args_from_interpreter_flags  # type: ignore[attr-defined]

    def flags() -> list[str]:
        found: list[str] = before()
        return found if {"-I", "-P"} & set(found) else [*found, "-P"]

    util._args_from_interpreter_flags = flags  # type: ignore[attr-defined]
    try:
        yield
    finally:
        util._args_from_interpreter_flags = before  # type: ignore[attr-defined]


def _disown() -> None:
    """Let a fork of this process neither signal nor wait for processes that are its parent's."""
    for one in list(_OURS):
        process._children.discard(one)  # type: ignore[attr-defined]
    _OURS.clear()


_CONTEXT = OwnContext()

_OURS: "weakref.WeakSet[OwnProcess]" = weakref.WeakSet()

os.register_at_fork(after_in_child=_disown)
