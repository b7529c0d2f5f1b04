"""Locks of files, which the system gives back when their holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hambatch.errors import InputError
from hambatch.system.files import refusing

MARK = b"hambatch run, process "
"""How the file begins: what the folder of a journal is known by."""


@contextmanager
def locked(path: Path, output: Path) -> Iterator[None]:
    """Hold the lock file ``path`` (created, mode 0600) while the block runs.

    Raises
    ------
    InputError
        If another run holds it, or it cannot be created.
    """
    descriptor = _acquire(path, output)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(path: Path, output: Path) -> int:
    while True:
        with refusing(path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 40).removeprefix(MARK).decode(errors="replace").strip()
            os.close(descriptor)
            raise InputError(
                f"another run is writing {output} (process {holder or 'unknown'}).\n"
                "Next: wait for it, or name another --out"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise InputError(
                f"{path.parent} is on a file system without locks ({error.strerror}).\n"
                "Next: name an --out on a local disk"
            ) from error
        if _still_there(path, descriptor):
            with refusing(path):
                os.truncate(descriptor, 0)
                os.write(descriptor, MARK + f"{os.getpid()}\n".encode())
            return descriptor
        # The run that held it has finished and removed it meanwhile.
        os.close(descriptor)


def _still_there(path: Path, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


@contextmanager
def locked_in(place: int, name: str) -> Iterator[None]:
    """Wait for the lock of a file in a folder, made if need be; raises OSError if it cannot be."""
    lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=place)
    try:
        # Without locks (some network folders) two builds cost time, and spoil nothing.
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def is_held(place: int, name: str) -> bool:
    """Say whether somebody holds the lock of a file; what cannot be locked is held by nobody."""
    try:
        # A pipe would block the opening, and nobody holds one.
        lock = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
    return False
