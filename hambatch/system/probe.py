"""Questions that may crash or hang: a child process answers them, within a time limit."""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import hambatch

LEAN = ("-I", "-S")
"""Python with nothing but its own library: for what needs no package."""


WITH_PACKAGES = ("-P",)
"""All that is installed, but nothing from the folder that the user happens to be in."""


GONE_SECONDS = 2.0
"""How long a killed process may take: one that waits inside a driver is never gone."""


# The package is found where this one lies; afterwards its folder hides nobody's modules.
START = """
import sys
root, module = sys.argv[1:3]
del sys.argv[1:3]
sys.path.insert(0, root)
from hambatch.system.probe import serve
sys.path.remove(root)
serve(module)
"""


@dataclass(frozen=True)
class Told:
    """What came back: every answer, in order, and what went wrong, in a line."""

    answers: tuple[Any, ...]
    trouble: str = ""


def ask(
    module: str, *arguments: str, seconds: float, flags: tuple[str, ...] = WITH_PACKAGES
) -> Told:
    """Run ``main`` of a module, which calls :func:`hambatch.system.probe.answer`.

    Parameters
    ----------
    module
        Dotted name; its ``main`` finds ``arguments`` in ``sys.argv[1:]``.
    seconds
        What is not done by then is killed; what it answered so far is kept.
    flags
        Of the Python interpreter: :data:`LEAN` or :data:`WITH_PACKAGES`.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended that process: it is meant for whoever asks, in whatever thread.
    """
    root = str(Path(hambatch.__file__).resolve().parent.parent)
    try:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *flags, "-c", START, root, module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # TensorFlow writes pages about its own start.
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except OSError as error:
        return Told((), f"cannot start {sys.executable}: {error.strerror}")
    return _listen(process, seconds)


def _listen(process: subprocess.Popen[bytes], seconds: float) -> Told:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        out = _stop(process)
        # It may have come to its end, and left somebody behind who keeps its output open.
        trouble = "" if any(_said(out, "done")) else f"gave no answer in {seconds:g} s"
        return Told(tuple(_said(out, "answer")), trouble)
    finally:
        process.kill()
    if process.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    return Told(tuple(_said(out, "answer")), _trouble(process.returncode, out, err))


def _stop(process: subprocess.Popen[bytes]) -> bytes:
    """Kill it, and give what it said; one that cannot be killed is left behind."""
    process.kill()
    try:
        return process.communicate(timeout=GONE_SECONDS)[0]
    except subprocess.TimeoutExpired as still_there:
        process.poll()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
        return still_there.output or b""


def _trouble(code: int, out: bytes, err: bytes) -> str:
    last = first_line("\n".join(reversed(err.decode(errors="replace").splitlines())))
    if code < 0:
        return f"died of signal {-code} ({signal.strsignal(-code)})" + (f": {last}" if last else "")
    errors = [str(error) for error in _said(out, "error")]
    if errors or any(_said(out, "done")):
        return " ".join(errors)
    return f"ended by itself with exit code {code}" + (f": {last}" if last else "")


def _said(out: bytes, kind: str) -> Iterator[Any]:
    for line in out.decode(errors="replace").splitlines():
        if line.startswith(MARK):
            said = json.loads(line.removeprefix(MARK))
            if kind in said:
                yield said[kind]


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
