"""What can go wrong with a set-up, and how a run ends.

::

    HambatchError
    ├── InputError           a path, a table or an option that cannot be used
    ├── EngineError          an engine folder that is incomplete, altered or unsuited
    ├── BackendError         a runtime that cannot execute the engine
    │   ├── OutOfMemory      a device that has not so much memory left
    │   └── DeviceLost       a device that failed while it worked: others may go on
    ├── ReaderGone           nobody reads standard output any more: no message is owed
    ├── MissingDependency    an optional package that is not installed
    └── SentinelError        a known picture that came back wrong: nothing here can be trusted

A bad image is none of these: it is a row with ``status`` ``failed``.
Every message names the thing, what was found, what was wanted, and the next
command to type.
"""

from enum import IntEnum


class HambatchError(Exception):
    """A set-up that cannot work; the command line shows it without a traceback."""


class InputError(HambatchError):
    """A path, a table or an option value that cannot be used."""


class EngineError(HambatchError):
    """An engine folder that is incomplete, altered, or unsuited to the request."""


class BackendError(HambatchError):
    """A runtime that is absent, too old, or cannot execute the engine."""


class OutOfMemory(BackendError):
    """A device has not so much memory left; smaller requests may fit."""


class DeviceLost(BackendError):
    """A device failed while it worked; nothing that it was working on is answered."""


class ReaderGone(HambatchError):
    """Whoever read standard output has closed it; the command line ends without a word."""


class MissingDependency(HambatchError):
    """An optional package is not installed; the message names the pip line."""


class SentinelError(HambatchError):
    """A known picture came back wrong; ``suspect`` holds the indices of rows not to trust."""

    def __init__(self, message: str, suspect: list[int]) -> None:
        super().__init__(message)
        self.suspect = suspect


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_IMAGES_FAILED = 3
    SLOWER = 3  # of `bench compare`: done, but not as hoped
    BEYOND_TOLERANCE = 3  # of `parity`: done, and something differs too much
    INTERRUPTED = 130
