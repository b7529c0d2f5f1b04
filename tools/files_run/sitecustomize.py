"""Writes down which files of a package a process runs, and its child processes.

Python imports this file at its start where ``PYTHONPATH`` names its folder; ``tools/house.py``
does that. ``HOUSE_PACKAGE`` is the package's folder. Into the folder ``HOUSE_TRACE`` every
process writes a file of lines: ``import PATH`` when a module's own code runs, and ``run PATH``
when the first function of a file does. What runs because a module is being imported, such as a
decorator, is part of the import. Python started with ``-I`` or ``-E`` is not seen.
"""

import os
import sys
import threading
from types import FrameType
from typing import Any

CO_OPTIMIZED = 0x1
"""Set for functions; modules and class bodies are without."""

PACKAGE = os.environ["HOUSE_PACKAGE"] + os.sep
_seen: set[tuple[str, str]] = set()
_trace = os.open(
    f"{os.environ['HOUSE_TRACE']}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND
)


def _watch(frame: FrameType, event: str, _argument: Any) -> None:
    path = frame.f_code.co_filename
    if event != "call" or not path.startswith(PACKAGE):
        return
    if frame.f_code.co_name == "<module>":
        _write("import", path)
    elif (
        frame.f_code.co_flags & CO_OPTIMIZED
        and ("run", path) not in _seen
        and not _in_import(frame)
    ):
        _write("run", path)


def _in_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            return True
        frame = frame.f_back
    return False


def _write(what: str, path: str) -> None:
    if (what, path) not in _seen:
        _seen.add((what, path))
        os.write(_trace, f"{what} {path}\n".encode())


threading.setprofile(_watch)
sys.setprofile(_watch)
