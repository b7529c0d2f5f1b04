"""Standard output and error that are closed, full, or no longer read."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO, cast

from hambatch.errors import InputError, ReaderGone

_STREAMS = {0: ("stdin", "r"), 1: ("stdout", "w"), 2: ("stderr", "w")}


@contextmanager
def watch_streams() -> Iterator[None]:
    """Tell a standard output that cannot be written from other failures; do without error.

    Writing to standard output raises ReaderGone where its reader has closed it,
    as after ``| head``, and InputError on a full disk and the like.
    """
    _open_closed()
    with ExitStack() as watched:
        watched.enter_context(redirect_stdout(cast(TextIO, _Output(sys.stdout))))
        watched.enter_context(redirect_stderr(cast(TextIO, _Unheard(sys.stderr))))
        yield


def _open_closed() -> None:
    """Put the null device in the place of streams that are closed, as by ``2>&-``.

    Otherwise the next file that is opened takes the number of the closed one,
    and a library's warning is written into it.
    """
    for number, (name, mode) in _STREAMS.items():
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)  # the workers want it as well
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))


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
    def failed(self, error: OSError) -> None:
        super().failed(error)
        if isinstance(error, BrokenPipeError):
            raise ReaderGone("standard output was closed by its reader") from error
        raise InputError(
            f"standard output cannot be written ({error.strerror}); send it to where there is room"
        ) from error


class _Unheard(_Watched):
    """A run does not stop where its messages cannot be shown."""
