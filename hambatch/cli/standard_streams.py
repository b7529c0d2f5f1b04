"""Standard output and error that are closed, full, or no longer read."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from hambatch.errors import InputError, ReaderGone

_STREAMS = {0: ("stdin", "r"), 1: ("stdout", "w"), 2: ("stderr", "w")}

SENT_AT_ONCE = 2**16
"""Bytes of a file."""


@contextmanager
def watch_streams() -> Iterator[None]:
    """Tell a standard output that cannot be written from other failures; do without error.

    Writing to standard output raises ReaderGone where its reader has closed it,
    as after ``| head``, and InputError on a full disk and the like.
    """
    closed = _open_closed()
    with ExitStack() as watched:
        output = _Output(sys.stdout, closed="stdout" in closed)
        watched.enter_context(redirect_stdout(cast(TextIO, output)))
        watched.enter_context(redirect_stderr(cast(TextIO, _Unheard(sys.stderr))))
        yield


def _open_closed() -> set[str]:
    """Put the null device in the place of streams that are closed, as by ``2>&-``; name them.

    Otherwise the next file that is opened takes the number of the closed one,
    and a library's warning is written into it.
    """
    closed = set[str]()
    for number, (name, mode) in _STREAMS.items():
        try:
            os.fstat(number)
        except OSError:
            closed.add(name)
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)  # the workers want it as well
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))
    return closed


def refuse_closed_output() -> None:
    """Raise InputError if standard output was closed when the process began, as by ``>&-``."""
    if isinstance(sys.stdout, _Output) and sys.stdout.closed_before:
        raise InputError(
            "standard output is closed, wanted a file or a pipe for the table.\n"
            "Next: --out FILE, or send standard output to a file"
        )


def send_file(path: Path) -> None:
    """Write the bytes of a file to standard output, whatever encoding its text has.

    Raises ReaderGone and InputError as :func:`watch_streams` says.
    """
    out = sys.stdout if isinstance(sys.stdout, _Output) else _Output(sys.stdout)
    with path.open("rb") as file:
        out.send(file)


class _Watched:
    """A text stream, and what is done when it cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if text == "":  # how click asks what a stream takes; some devices refuse even that
            return 0
        try:
            return self._stream.write(text)
        except OSError as error:
            self.failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self.failed(error)

    def failed(self, error: OSError) -> None:
        """Send what the buffer holds, and whatever may follow, to the null device."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)


class _Output(_Watched):
    def __init__(self, stream: TextIO, *, closed: bool = False) -> None:
        super().__init__(stream)
        self.closed_before = closed

    def send(self, file: BinaryIO) -> None:
        """Write the bytes of a file after what was written before."""
        self.flush()
        while part := file.read(SENT_AT_ONCE):
            self._try(partial(self._stream.buffer.write, part))
        self._try(self._stream.buffer.flush)

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            self.failed(error)

    def failed(self, error: OSError) -> None:
        super().failed(error)
        if isinstance(error, BrokenPipeError):
            raise ReaderGone("standard output was closed by its reader") from error
        raise InputError(
            f"standard output cannot be written ({error.strerror}), wanted room for all of it.\n"
            "Next: the same command with > FILE, a file where there is room"
        ) from error


class _Unheard(_Watched):
    """A run does not stop where its messages cannot be shown."""


class _NoTerminal(_Unheard):
    """What progress bars, of libraries as well, take for a file: they are not drawn."""

    def isatty(self) -> bool:
        return False


def no_terminal() -> None:
    """Draw no progress bar on standard error until :func:`watch_streams` ends."""
    sys.stderr = cast(TextIO, _NoTerminal(sys.stderr))
