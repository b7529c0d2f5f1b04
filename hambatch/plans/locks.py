"""Which process builds a plan: it holds the lock of a file, as long as it lives."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def locked(place: int, name: str) -> Iterator[None]:
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
