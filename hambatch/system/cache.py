"""Private folders (the user's cache, a journal): no other user can write to them or read them.

What is kept in a private folder is handed to native code, or becomes a table, so it is read only
where no other user can have put it: the folder is no link, belongs to this user and has mode
0700; a file is a regular one of this user that no other user may read or write. Files are written
beside and renamed, so several processes at once are safe.
"""

import json
import os
import secrets
import shlex
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hambatch.system.files import sha256_of_bytes, sync_open

LEFT_AFTER_SECONDS = 3600
"""A temporary file that is older was left by a process that died."""


class CacheRefused(Exception):
    """The folder or a file is not private, or cannot be used.

    ``why`` is what was found; ``remedy`` is a command or empty, and ``hint`` says it in words.
    """

    def __init__(self, why: str, remedy: str = "", hint: str = "") -> None:
        super().__init__(why + hint)
        self.why, self.remedy = why, remedy


def user_cache(name: str) -> Path | None:
    """Name a folder of hambatch's in the user's cache; None where the user has none."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # By the specification a relative path is to be ignored; in a container a user may have
    # no home, and then it stays as it is.
    cache = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
    return Path(cache, "hambatch", name) if os.path.isabs(cache) else None


def key_of(parts: dict[str, Any]) -> str:
    """Hash everything that decides what is kept: JSON values."""
    return sha256_of_bytes(json.dumps(parts, sort_keys=True).encode())


@contextmanager
def private(folder: Path, *, parents: bool = True) -> Iterator[int]:
    """Open the folder, made if need be; what it yields stays that folder whatever is renamed.

    ``parents``: make the folders above it as well. Raises CacheRefused if it cannot be had, or
    another user can write to it or read it.
    """
    try:
        if os.path.islink(folder):
            raise CacheRefused(f"{folder} is a symbolic link, wanted a folder")
        folder.mkdir(mode=0o700, parents=parents, exist_ok=True)
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise CacheRefused(f"{folder} cannot be used: {error.strerror}") from error
    try:
        _refuse_others(os.fstat(place), str(folder), "700")
        yield place
    finally:
        os.close(place)


def problem_with(folder: Path) -> str:
    """Say why the folder cannot be used; empty if it can."""
    try:
        with private(folder):
            return ""
    except CacheRefused as refused:
        return str(refused)


def read_private(place: int, name: str) -> bytes:
    """Give a file's content, and mark it as used now.

    Raises CacheRefused if it is missing, is no regular file, or is open to another user.
    """
    try:
        # A pipe would block the opening until somebody writes to it.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(name, flags, dir_fd=place)
    except (OSError, ValueError) as error:
        raise CacheRefused(f"{name} cannot be read: {_reason(error)}") from error
    try:
        found = os.fstat(descriptor)
        # Before Python opens the descriptor, which it does not do with a folder.
        if not stat.S_ISREG(found.st_mode):
            raise CacheRefused(f"{name} is no regular file")
        _refuse_others(found, name, "600")
        with suppress(OSError):
            os.utime(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise CacheRefused(f"{name} cannot be read: {_reason(error)}") from error
    finally:
        os.close(descriptor)


def refuse_unfit(place: int, name: str, *, forbidden: int = 0o022) -> None:
    """Refuse what is no regular file of this user, or has a second name; missing is fine.

    A file with a second name (a hard link) is written where that name is, too. ``forbidden`` are
    bits of its mode: by default no other user may write it. Raises CacheRefused.
    """
    try:
        found = os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise CacheRefused(f"{name} is a symbolic link, wanted a regular file")
    if not stat.S_ISREG(found.st_mode):
        raise CacheRefused(f"{name} is no regular file")
    if found.st_nlink > 1:
        raise CacheRefused(
            f"{name} is one of {found.st_nlink} hard links, wanted a file of its own"
        )
    _refuse_others(found, name, "600", forbidden)


def is_file(place: int, name: str) -> bool:
    """Say whether it is a regular file; a link is none, nor is what is gone."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=place, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _reason(error: OSError | ValueError) -> str:
    """Say why; a name with a NUL or a lone surrogate is a ValueError."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _refuse_others(found: os.stat_result, name: str, mode: str, forbidden: int = 0o077) -> None:
    if found.st_uid != os.geteuid():
        raise CacheRefused(f"{name} belongs to another user")
    if stat.S_IMODE(found.st_mode) & forbidden:
        remedy = f"chmod {mode} {shlex.quote(name)}"
        hint = f"; chmod {mode} makes it private"
        raise CacheRefused(f"{name} is open to other users", remedy, hint)


def write_private(place: int, name: str, *parts: bytes, durable: bool = False) -> None:
    """Write a file beside and rename it; raises OSError where that fails, and leaves nothing.

    ``durable``: it survives a power cut.
    """
    temporary = f".{name}.{secrets.token_hex(4)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with open(os.open(temporary, flags, 0o600, dir_fd=place), "wb") as file:
            file.writelines(parts)
            file.flush()
            if durable:
                sync_open(file.fileno())
        os.replace(temporary, name, src_dir_fd=place, dst_dir_fd=place)
        if durable:
            sync_open(place)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=place)
        raise


def keep_newest(place: int, suffix: str, count: int) -> None:
    """Keep the files of that suffix that were used last, and what another process may be writing.

    Raises OSError where a file cannot be removed; folders and links stay as they are.
    """
    found = [name for name in os.listdir(place) if is_file(place, name)]
    used = dict[str, float]()
    for name in found:
        if name.endswith(suffix) and not name.startswith("."):
            with suppress(FileNotFoundError):
                used[name] = os.stat(name, dir_fd=place).st_mtime
    old = left_behind(place, (name for name in found if name.startswith(".")))
    for name in sorted(used, key=used.__getitem__, reverse=True)[count:] + old:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=place)


def left_behind(place: int, names: Iterable[str]) -> list[str]:
    """Choose the files that are so old that no process can still be writing them."""
    oldest = time.time() - LEFT_AFTER_SECONDS
    old = []
    for name in names:
        with suppress(FileNotFoundError):
            if os.stat(name, dir_fd=place, follow_symlinks=False).st_mtime < oldest:
                old.append(name)
    return old
