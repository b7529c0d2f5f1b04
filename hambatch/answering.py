"""The other side of :mod:`hambatch.asking`: a process that answers, line by line, until it ends."""

import importlib
import json
import os
import resource
import signal
import sys
from types import TracebackType
from typing import Any

MARK = "@hambatch "
"""Libraries print too: a line with this in front is an answer."""

LONGEST = 300
"""Characters of an error that are passed on: some libraries write pages."""


def answer(value: Any) -> None:
    """Tell the asking process something; it counts even if this process dies afterwards."""
    _say("answer", value)


def serve(module: str) -> None:
    """Run ``main`` of a module, say that it came to its end, and end."""
    # Ctrl-C reaches this process too, and has to end it in the middle of an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.excepthook = _say_error
    _leave_no_core()
    importlib.import_module(module).main()
    _say("done", True)
    # What a library does while it is taken down is nobody's question, and it may crash.
    os._exit(0)


def first_line(text: str) -> str:
    """Give the first line that says anything, shortened."""
    said = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return said if len(said) <= LONGEST else f"{said[:LONGEST]} ..."


def _say(kind: str, value: Any) -> None:
    os.write(1, f"\n{MARK}{json.dumps({kind: value})}\n".encode())


def _say_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    _say("error", f"{kind.__name__}: {first_line(str(error))}")


def _leave_no_core() -> None:
    """A crash is an answer here; nobody wants its memory on disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
