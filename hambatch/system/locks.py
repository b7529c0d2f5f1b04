"""Lock files: the system gives a lock back when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hambatch.errors import InputError
from hambatch.system.files import refusing

MARK = b"hambatch run, process "
"""How the lock file of a journal begins: what its folder is known by."""


class NoLocks(OSError):
    """The file system has no locks."""


def acquire(path: Path | str, folder: int | None = None, *, wait: bool, make: bool = True) -> int:
    """Open a lock file and lock it; closing the descriptor gives the lock back.

    ``path`` may be relative to ``folder``, the descriptor of an open one. The file is made, with
    mode 0600, unless ``make`` is false. ``wait``: until no other process holds the lock; a file
    system without locks then counts as free.

    Raises BlockingIOError if another process holds the lock, NoLocks if the file system has
    none, OSError if the file cannot be opened.
    """
    # A pipe would block the opening.
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | (os.O_CREAT if make else 0)
    while True:
        descriptor = os.open(path, flags, 0o600, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError as error:
            if not wait:
                os.close(descriptor)
                raise NoLocks(*error.args) from error
        with suppress(OSError):
            found = os.stat(path, dir_fd=folder, follow_symlinks=False)
            if os.path.samestat(found, os.fstat(descriptor)):
                return descriptor
        # Its last holder has finished and removed the file meanwhile.
        os.close(descriptor)


@contextmanager
def locked(path: Path, output: Path) -> Iterator[None]:
    """Hold the lock of the journal of ``output``; its folder is made if need be.

    Raises InputError if another run holds it, or it cannot be created.
    """
    with refusing(path):
        is_new = not path.parent.exists()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            descriptor = acquire(path, wait=False)
        except BlockingIOError as error:
            raise InputError(
                f"another run is writing {output} (process {_holder(path)}).\n"
                "Next: wait for it, or name another --out"
            ) from error
        except NoLocks as error:
            if is_new:
                path.unlink(missing_ok=True)
                path.parent.rmdir()
            raise InputError(
                f"{path.parent} is on a file system without locks ({error.strerror}).\n"
                "Next: name an --out on a local disk"
            ) from error
    try:
        with refusing(path):
            os.truncate(descriptor, 0)
            os.write(descriptor, MARK + f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    with suppress(OSError):
        return path.read_bytes()[:40].removeprefix(MARK).decode(errors="replace").strip()
    return "unknown"


@contextmanager
def locked_in(folder: int, name: str) -> Iterator[None]:
    """Wait for the lock of a file, made if need be; raises OSError if it cannot be opened.

    Without locks (some network folders) two holders at once cost time, and spoil nothing.
    """
    descriptor = acquire(name, folder, wait=True)
    try:
        yield
    finally:
        os.close(descriptor)


def is_held(folder: int, name: str) -> bool:
    """Say whether a process holds the lock of a file; what cannot be locked is not held."""
    try:
        os.close(acquire(name, folder, wait=False, make=False))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
