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
    └── WrongScores          this machine computes wrongly: its rows are not valid
        ├── SentinelError    a sentinel with wrong scores
        └── DoubleCheckError an image that got other scores the second time

A bad image is none of these: it is a row with ``status`` ``failed``.
Every message names the thing, what was found, what was wanted, and what to type next.
"""

import errno
import os
import re
from enum import IntEnum

LONGEST_LINE = 5000
"""Characters of a line of a message: room for any path, and not for a file that is quoted whole."""


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal may obey, in names and cells of others: all but tab and line end."""


class HambatchError(Exception):
    """A set-up that cannot work; the command line shows it without a traceback."""

    def __init__(self, message: str = "") -> None:
        lines = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", message).split("\n")
        kept = (x if len(x) <= LONGEST_LINE else f"{x[:LONGEST_LINE]} ..." for x in lines)
        super().__init__("\n".join(kept))


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


def lacks_open_files(error: ImportError) -> bool:
    """Tell whether a library could not be loaded because too many files are open."""
    return os.strerror(errno.EMFILE) in str(error)


OWN_ERRORS = frozenset({errno.EBADF, errno.EFAULT, errno.ENOTSOCK, errno.EPIPE})
"""Numbers of errors that say something about this program, and not about the machine."""

RAISE_OPEN_FILES = "raise the limit of open files (ulimit -n 4096), and run the same command again"

NEXT_BY_ERROR = {
    errno.EMFILE: RAISE_OPEN_FILES,
    errno.ENFILE: RAISE_OPEN_FILES,
    errno.ENOSPC: "make room, and run the same command again",
    errno.EDQUOT: "make room, and run the same command again",
    errno.ENOMEM: "free memory or raise its limit, and run the same command again",
    errno.EAGAIN: "raise the limit of processes (ulimit -u), and run the same command again",
    errno.EACCES: "give yourself the right to it, and run the same command again",
    errno.EPERM: "give yourself the right to it, and run the same command again",
    errno.EROFS: "name a folder that you may write to",
    errno.ENOENT: "make sure that nothing removes files meanwhile, and run the same command again",
}
"""What to do about an error of the system; of any other number, look at the disk."""

LOOK_AT_DISK = "see whether the disk or the network folder works, and run the same command again"


def refusal_of(error: OSError) -> HambatchError | None:
    """Turn an error of the system into one that is shown as a message; None: it is a bug."""
    if error.errno is None or error.errno in OWN_ERRORS:
        return None
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if is_name(name)]
    found = f"{' and '.join(names)} cannot be used" if names else "the system refused a call"
    step = NEXT_BY_ERROR.get(error.errno, LOOK_AT_DISK)
    return InputError(f"{found}: {error.strerror or os.strerror(error.errno)}.\nNext: {step}")


def is_name(name: object) -> bool:
    """Tell the name of a file from its descriptor, and from none."""
    return isinstance(name, str | bytes | os.PathLike) and bool(os.fspath(name))


class MissingDependency(HambatchError):
    """An optional package is not installed; the message names the pip line."""


class WrongScores(HambatchError):
    """The machine computes wrongly; ``suspect`` holds the indices of rows that may be wrong."""

    def __init__(self, message: str, suspect: list[int]) -> None:
        super().__init__(message)
        self.suspect = suspect


class SentinelError(WrongScores):
    """A sentinel had wrong scores."""


class DoubleCheckError(WrongScores):
    """``--double-check`` found an image that got other scores the second time."""


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    SOME_IMAGES_FAILED = 3
    SLOWER = 3  # of `bench compare`: done, and slower than the requirement
    BEYOND_TOLERANCE = 3  # of `parity`: done, and something differs too much
    INTERRUPTED = 130
