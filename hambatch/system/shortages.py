"""What a machine may lack for a while: memory, file handles, a disk that answers.

None of it says anything about an image.
"""

import errno
import mmap
import resource
import threading
from pathlib import Path

from hambatch.errors import LOOK_AT_DISK, NEXT_BY_ERROR, Shortage, is_shortage

_HANDLES = {errno.EMFILE, errno.ENFILE}
_MEMORY = {errno.ENOMEM, errno.EAGAIN}
_SPACE = {errno.ENOSPC, errno.EDQUOT}
_DISK = {
    errno.EIO,
    errno.EREMOTEIO,
    errno.EBADMSG,
    errno.EUCLEAN,
    errno.EBUSY,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOMEDIUM,
}
_NETWORK = {
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.ENOBUFS,
    errno.ENOKEY,
    errno.EKEYEXPIRED,
    errno.ENOLCK,
    errno.EPROTO,
    errno.ESHUTDOWN,
}
OF_THE_MACHINE = _HANDLES | _MEMORY | _SPACE | _DISK | _NETWORK
"""Errors that are the machine's. Any other is the file's: no permission, no such file, a loop of
symbolic links."""

NO_THREAD = ("can't start new thread", "Resource temporarily unavailable")
"""What libraries print or raise that may start no more threads: no file can cause it."""

NO_THREADS = (
    "the system started no more threads.\nNext: raise the limit of processes (ulimit -u, or "
    "pids.max of the control group), and run the same command again"
)
"""What the user sees instead of a traceback."""

NATIVE_SIGNS = ("bad_alloc", "MemoryError", "Cannot allocate memory", *NO_THREAD)
"""What they print or raise that lack memory, or threads."""

MOVE_AWAY = "move it to another folder, and run the same command again: it scores the others"
"""The way on where one file alone cannot be scored on this machine."""

PLENTY = 2_000_000_000
"""Bytes: more than any one image within the limits takes, twice as much as 100 megapixels."""

SPARE = 64_000_000
"""Bytes that a decoder takes beside the pixels; one arena of glibc's allocator."""


def is_of_the_machine(error: BaseException) -> bool:
    """Tell whether the machine caused an error: it lacks something that a file cannot take."""
    if isinstance(error, OSError):
        return error.errno in OF_THE_MACHINE
    return isinstance(error, MemoryError)


def shortage_at(path: object, error: BaseException, what_for: str = "read") -> Shortage:
    """Make the error of a run that the machine does not let go on, with what to do."""
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM
    what = getattr(error, "strerror", None) or "Cannot allocate memory"
    return Shortage(
        f"{path} cannot be {what_for}: {what}, each time it was tried. That is a condition of this "
        f"machine, so no image failed for it.\nNext: {_remedy(number)}"
    )


def is_of_memory(error: BaseException) -> bool:
    """Tell whether a library failed for lack of memory: it says so, or there is none now."""
    if isinstance(error, OSError):
        return error.errno in _MEMORY
    if is_shortage(error) or any(sign in str(error) for sign in NATIVE_SIGNS):
        return True
    return not has_room(SPARE)


def _remedy(number: int | None) -> str:
    if number in NEXT_BY_ERROR:
        return NEXT_BY_ERROR[number]
    return f"{LOOK_AT_DISK}. If this file alone cannot be read, {MOVE_AWAY}"


def has_room(size: int) -> bool:
    """Tell whether this process may have that many bytes more; touches none of them."""
    try:
        mmap.mmap(-1, size).close()
    except (OSError, OverflowError, MemoryError):
        return False
    return True


def refuse_without_room(pixels: int = 0) -> None:
    """Raise MemoryError if an image of so many pixels could not be decoded for lack of memory.

    It takes 10 us. Each pixel counts four bytes, as decoded with a fourth channel: a header may
    state more pixels than there are, and is not to stop a run on a small machine.
    """
    if not has_room(SPARE + 4 * pixels):
        raise MemoryError(f"less than {SPARE / 1e6:g} MB are left")


def has_threads() -> bool:
    """Tell whether this process may start one more thread."""
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True


def lacks_memory(words: str) -> bool:
    """Tell whether words of a library say that memory, or threads, are short, and it can be.

    A decoder that asks for more than any image needs, on a machine with plenty, has a bad file.
    """
    if any(sign in words for sign in NO_THREAD):
        return True
    return any(sign in words for sign in NATIVE_SIGNS) and not has_plenty()


def has_plenty() -> bool:
    """Tell whether memory can hardly be short: no limit is set, and much is available."""
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        if resource.getrlimit(limit)[0] != resource.RLIM_INFINITY:
            return False
    return _field("/proc/meminfo", "MemAvailable:") * 1024 > PLENTY and not _commits_strictly()


def _commits_strictly() -> bool:
    """Tell whether the system refuses memory that it might not have (``vm.overcommit_memory``)."""
    try:
        return Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2"
    except OSError:
        return False


def killed_for_memory() -> int:
    """Count the processes that the kernel has killed for lack of memory since it was started.

    It counts those of every memory cgroup, version 1 and 2, and of the whole machine.
    """
    return _field("/proc/vmstat", "oom_kill")


def _field(path: str, name: str) -> int:
    """Read one number; 0 where the system does not have it."""
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
