"""What can go wrong with a set-up, and how a run ends.

::

    HambatchError
    ├── InputError           a path, a table or an option that cannot be used
    ├── EngineError          an engine folder that is incomplete, altered or unsuited
    ├── BackendError         a runtime that cannot execute the engine
    │   ├── OutOfMemory      too little memory is left on a device
    │   └── DeviceLost       a device that failed at work: others may continue
    ├── Shortage             the machine lacks memory, file handles, or a disk that answers
    ├── ReaderGone           the reader of standard output closed it: no message is shown
    ├── MissingDependency    an optional package that is not installed
    └── SentinelError        a sentinel with wrong scores: this machine's rows are not valid

A bad image is none of these: it is a row with ``status`` ``failed``.
Every message names the thing, what was found, what was wanted, and what to type next.
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
    """Too little memory is left on a device; smaller requests may fit."""


class DeviceLost(BackendError):
    """A device failed at work; the batches in flight on it have no scores."""


class Shortage(HambatchError):
    """The machine lacks memory, file handles, or a disk that answers; no image is at fault."""


class ReaderGone(HambatchError):
    """The reader of standard output closed it; the command line ends without a message."""


NO_MEMORY = (
    "too little memory: the system gave no more of it (a limit, such as ulimit -v, or a full "
    "machine).\nNext: raise the limit or free memory, and run the same command again"
)
"""What the user sees instead of a traceback."""


def is_shortage(error: BaseException) -> bool:
    """Tell whether memory was missing: for data, or to load a library into."""
    is_unloadable = isinstance(error, ImportError) and "failed to map segment" in str(error)
    return isinstance(error, MemoryError) or is_unloadable


class MissingDependency(HambatchError):
    """An optional package is not installed; the message names the pip line."""


class SentinelError(HambatchError):
    """A sentinel had wrong scores; ``suspect`` holds the indices of rows that may be wrong too."""

    def __init__(self, message: str, suspect: list[int]) -> None:
        super().__init__(message)
        self.suspect = suspect


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_IMAGES_FAILED = 3
    SLOWER = 3  # of `bench compare`: done, and slower than the requirement
    BEYOND_TOLERANCE = 3  # of `parity`: done, and something differs too much
    INTERRUPTED = 130
