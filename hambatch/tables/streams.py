"""Output streams that report a full disk, and never hide what went wrong before."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeVar

Stream = TypeVar("Stream", bound=IO[Any])


@contextmanager
def closed_at_the_end(stream: Stream) -> Iterator[Stream]:
    """Close an output stream, which writes what is still buffered.

    Raises
    ------
    OSError
        If that fails, after a block that went well: a full disk must not pass
        unnoticed. A block that did not raises its own exception.
    """
    try:
        yield stream
    except BaseException:
        with suppress(OSError):
            stream.close()
        raise
    stream.close()
