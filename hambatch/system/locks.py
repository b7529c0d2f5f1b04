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


def is_same(name: Path | str, folder: int | None, descriptor: int) -> bool:
    """Say whether a name still leads to an open file; raises OSError where that is unknown."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


@contextmanager
def locked(path: Path, folder: int, output: Path) -> Iterator[int]:
    """Hold the lock of the journal of ``output``: the file ``path`` of an open folder.

    The folder is locked as well, where its file system can do that: the file may be removed under
    way, and a second run would make and lock another one. Yields the descriptor of the file, for
    :func:`refuse_lost`. Raises InputError if another run holds either, or the file cannot be made.
    """
    with refusing(path):
        try:
            _lock_folder(folder)
            descriptor = acquire(path.name, folder, wait=False)
        except BlockingIOError as error:
            raise InputError(
                f"another run is writing {output} (process {_holder(path.name, folder)}).\n"
                "Next: wait for it, or name another --out"
            ) from error
        except NoLocks as error:
            with suppress(OSError):
                os.unlink(path.name, dir_fd=folder)
            raise InputError(
                f"{path.parent} is on a file system without locks ({error.strerror}).\n"
                "Next: add --journal-dir with a folder on a local disk"
            ) from error
    try:
        with refusing(path):
            os.truncate(descriptor, 0)
            os.write(descriptor, MARK + f"{os.getpid()}\n".encode())
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_folder(folder: int) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # NFS and others lock files only


def refuse_lost(path: Path, folder: int, descriptor: int) -> None:
    """Raise InputError if the file of a lock is another one now, or gone."""
    with refusing(path):
        if is_same(path.name, folder, descriptor):
            return
    raise InputError(
        f"{path}, the lock of this run, was removed under way; wanted it kept, since it keeps a "
        "second run from writing the same journal.\nNext: run the same command again"
    )


def _holder(name: str, folder: int) -> str:
    with suppress(OSError):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with open(descriptor, "rb") as file:
            return file.read(40).removeprefix(MARK).decode(errors="replace").strip()
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
