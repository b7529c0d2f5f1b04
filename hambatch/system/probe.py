"""Code that may crash or hang, run in a child process within a time limit.

The parent calls :func:`run_probe`, or :func:`stream_probe` for long answers; the
``main`` that runs in the child calls :func:`report`. An :class:`AnsweringChild` gets one request
after another; its ``main`` calls :func:`answer_requests`.
"""

import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Any

import hambatch
from hambatch.system.own_time import LOOK_EVERY, OwnTime
from hambatch.system.search_path import leave_out_current_folder

LEAN = ("-I", "-S")
"""Python with nothing but its own library: for what needs no package."""

WITH_PACKAGES = ("-P",)
"""All that is installed, but nothing from the current folder."""

KILL_SECONDS = 2.0
"""How long a killed process may take to end: one that waits inside a driver never does."""


# The package is found where this one lies; afterwards its folder hides no other modules.
START = """
import sys
root, module = sys.argv[1:3]
del sys.argv[1:3]
sys.path.insert(0, root)
from hambatch.system.probe import run_child
sys.path.remove(root)
run_child(module)
"""


@dataclass(frozen=True)
class ProbeResult:
    """Every value that the child reported, in order, and what went wrong, in a line."""

    reports: tuple[Any, ...]
    problem: str = ""


def run_probe(
    module: str, *arguments: str, seconds: float, flags: tuple[str, ...] = WITH_PACKAGES
) -> ProbeResult:
    """Run ``main`` of a module in a child process.

    Parameters
    ----------
    module
        Dotted name; its ``main`` finds ``arguments`` in ``sys.argv[1:]``.
    seconds
        A child that takes longer (:class:`OwnTime`) is killed; what it reported so far is kept.
    flags
        Of the Python interpreter: :data:`LEAN` or :data:`WITH_PACKAGES`.

    Raises KeyboardInterrupt, in any thread, if Ctrl-C ended the child: it is meant for both.
    """
    try:
        process = _start(module, arguments, flags, subprocess.DEVNULL, subprocess.PIPE)
    except OSError as error:
        return ProbeResult((), f"cannot start {sys.executable}: {error.strerror}")
    late = ""
    try:
        out, err = _output(process, seconds)
    except subprocess.TimeoutExpired:
        late, out, err = f"gave no answer in {seconds:g} s", _kill(process), b""
    finally:
        process.kill()
    if process.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    sent = _messages(out)
    # It may have come to its end, and left a process behind that keeps its output open.
    problem = "" if sent["done"] else late or " ".join(sent["error"])
    if not (problem or sent["done"]):
        problem = _end_of(process.returncode, err)
    return ProbeResult(tuple(sent["report"]), problem)


def end_with_parent() -> None:
    """End this process when its parent ends, however that does; for :func:`stream_probe` only."""
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    # The parent holds the other end of the pipe, and writes nothing.
    while os.read(0, 1):
        pass
    os._exit(1)


class ProbeFailed(Exception):
    """A child that did not come to its end; the message says in a line what went wrong.

    ``signal``: the number of the one that it died of, or 0.
    """

    def __init__(self, problem: str, signal: int = 0) -> None:
        super().__init__(problem)
        self.signal = signal


def stream_probe(
    module: str, *arguments: str, flags: tuple[str, ...] = WITH_PACKAGES
) -> Iterator[Any]:
    """Yield what ``main`` of a module reports in a child process, as it comes; nothing is kept.

    There is no time limit. The child is killed when the iterator is closed. Raises ProbeFailed
    after the last report if the child failed, OSError if it cannot be started, and
    KeyboardInterrupt if Ctrl-C ended it.
    """
    with tempfile.TemporaryFile() as errors:
        process = _start(module, arguments, flags, subprocess.PIPE, errors)
        try:
            assert process.stdout  # noqa: S101
            ends: dict[str, Any] = {}
            for line in process.stdout:
                if line.startswith(MARK.encode()):
                    for kind, value in json.loads(line[len(MARK) :]).items():
                        if kind == "report":
                            yield value
                        else:
                            ends[kind] = value
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        if code == -signal.SIGINT:
            raise KeyboardInterrupt
        if "done" not in ends:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 10 * LONGEST))
            error = ends.get("error")
            problem = f"failed: {error}" if error else _end_of(code, errors.read())
            raise ProbeFailed(problem, max(0, -code))


class AnsweringChild:
    """A child process that answers one request after another; it is killed when it is closed.

    What it prints is lost. Raises OSError if it cannot be started.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = _start(
            module, arguments, WITH_PACKAGES, subprocess.PIPE, subprocess.DEVNULL
        )
        self._received = b""

    def ask(self, request: Any, seconds: float) -> Any:
        """Send a request (JSON) and wait for the answer.

        Raises ProbeFailed if the child ends first, or takes longer than ``seconds``
        (:class:`OwnTime`) without a sign of life: ask it nothing more then. Raises
        KeyboardInterrupt if Ctrl-C ended it.
        """
        stdin = self._process.stdin
        assert stdin  # noqa: S101
        with suppress(BrokenPipeError):
            stdin.write(f"{json.dumps(request)}\n".encode())
            stdin.flush()
        while True:
            for kind, value in self._message(seconds).items():
                if kind == "report":
                    return value
                if kind == "error":
                    raise ProbeFailed(f"failed: {value}")

    def close(self) -> None:
        """End the child."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with suppress(BrokenPipeError):
                    stream.close()

    def _message(self, seconds: float) -> dict[str, Any]:
        """Wait for the next message of the child."""
        while True:
            line, end, rest = self._received.partition(b"\n")
            if not end:
                self._received += self._more(seconds)
                continue
            self._received = rest
            if line.startswith(MARK.encode()):
                message: dict[str, Any] = json.loads(line[len(MARK) :])
                return message

    def _more(self, seconds: float) -> bytes:
        """Wait for more output."""
        stdout = self._process.stdout
        assert stdout  # noqa: S101
        had: OwnTime | None = None
        while not select.select([stdout], [], [], LOOK_EVERY)[0]:
            # To look at the process costs more than most answers.
            had = had or OwnTime(self._process.pid)
            if had.seconds() > seconds:
                raise ProbeFailed(f"gave no answer in {seconds:g} s")
        if found := os.read(stdout.fileno(), 1 << 16):
            return found
        code = self._process.wait()
        if code == -signal.SIGINT:
            raise KeyboardInterrupt
        raise ProbeFailed(_end_of(code, b""), max(0, -code))


def answer_requests(answer: Callable[[Any], Any]) -> None:
    """Answer what the :class:`AnsweringChild` of the parent is asked, until the parent ends."""
    requests = SimpleQueue[Any]()

    def receive() -> None:
        for line in sys.stdin.buffer:
            requests.put(json.loads(line))
        # The parent has closed the pipe, or is gone: even a request that never ends is left.
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    while True:
        report(answer(requests.get()))


def show_life() -> None:
    """Tell a waiting :meth:`AnsweringChild.ask` that the work goes on: its time begins anew."""
    _send("alive", True)


def _start(
    module: str,
    arguments: Sequence[str],
    flags: Sequence[str],
    given: int,
    errors: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    root = str(Path(hambatch.__file__).resolve().parent.parent)
    return subprocess.Popen(  # noqa: S603
        [sys.executable, *flags, "-c", START, root, module, *arguments],
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=errors,
        # TensorFlow writes pages about its own start.
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def _output(process: subprocess.Popen[bytes], seconds: float) -> tuple[bytes, bytes]:
    """Wait for its end; raises TimeoutExpired when it had its time."""
    had = OwnTime(process.pid)
    left = seconds
    while True:
        try:
            return process.communicate(timeout=max(0.0, min(left, LOOK_EVERY)))
        except subprocess.TimeoutExpired:
            if left <= 0:
                raise
            left = seconds - had.seconds()


def _kill(process: subprocess.Popen[bytes]) -> bytes:
    """Kill it, and give its output; one that cannot be killed is left behind."""
    process.kill()
    try:
        return process.communicate(timeout=KILL_SECONDS)[0]
    except subprocess.TimeoutExpired as still_there:
        process.poll()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
        return still_there.output or b""


def _messages(out: bytes) -> dict[str, list[Any]]:
    """Sort what :func:`_send` wrote by its kind."""
    found: dict[str, list[Any]] = {"report": [], "error": [], "done": []}
    for line in out.decode(errors="replace").splitlines():
        if line.startswith(MARK):
            for kind, value in json.loads(line.removeprefix(MARK)).items():
                found[kind].append(value)
    return found


def _end_of(code: int, err: bytes) -> str:
    last = _first_line("\n".join(reversed(err.decode(errors="replace").splitlines())))
    how = f"ended by itself with exit code {code}"
    if code < 0:
        how = f"died of signal {-code} ({signal.strsignal(-code)})"
    return f"{how}: {last}" if last else how


MARK = "@hambatch "
"""Libraries print too: a line with this in front is a message."""

LONGEST = 300
"""Characters of an error that are passed on: some libraries write pages."""


def run_child(module: str) -> None:
    """Run ``main`` of a module in this process, say that it came to its end, and end."""
    # Ctrl-C reaches this process too, and has to end it in the middle of an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.excepthook = _send_error
    leave_out_current_folder()
    # A crash is a result here; its memory is not worth a file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    importlib.import_module(module).main()
    _send("done", True)
    # A library that crashes while it is taken down does not matter any more.
    os._exit(0)


def report(value: Any) -> None:
    """Send a value (JSON) to the parent; it counts even if this process dies afterwards."""
    _send("report", value)


def _send(kind: str, value: Any) -> None:
    message = f"\n{MARK}{json.dumps({kind: value})}\n".encode()
    while message:
        message = message[os.write(1, message) :]


def _send_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    _send("error", f"{kind.__name__}: {_first_line(str(error))}")


def _first_line(text: str) -> str:
    """Give the first line that is not blank, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
