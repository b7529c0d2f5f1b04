"""Compiled INT8 graphs, kept for the next start.

A cached graph is handed to native code, so it is believed only from a folder that nobody but
this user can write to, and only whole::

    $XDG_CACHE_HOME/hambatch/models/    mode 0700, no link, owned by this user
        KEY.blob                        sha256 of the rest, a newline, what OpenVINO exported

KEY is the sha256 of everything that the graph was compiled from, with and for. A file is
written beside and renamed, so several starts at once are safe. Anything that is wrong with the
cache costs time only: the graph is compiled as if there were none.
"""

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hambatch.engines.choice import INT8

SUFFIX = ".blob"

KEPT = 4
"""Most compiled graphs in the folder, some 35 MB each; the one used longest ago goes first."""


class CacheRefused(Exception):
    """The folder cannot be believed, or cannot be used; says why in a few words."""


def cache_folder(precision: str) -> Path | None:
    """Name the folder for compiled graphs of a precision; None if none is to be kept.

    OpenVINO prepares an INT8 graph for seconds. The FP32 graph compiles nearly as fast as what
    is compiled of it, twice as large as its file, is read back.
    """
    if precision != INT8:
        return None
    base = os.environ.get("XDG_CACHE_HOME", "")
    # By the specification a relative path is to be ignored; in a container a user may have
    # no home, and then it stays as it is.
    cache = base if os.path.isabs(base) else os.path.expanduser("~/.cache")
    return Path(cache, "hambatch", "models") if os.path.isabs(cache) else None


def key_of(parts: dict[str, Any]) -> str:
    """Hash everything that decides what is compiled: JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def exported_once(
    folder: Path,
    key: str,
    compile_graph: Callable[[], Any],
    import_graph: Callable[[bytes], Any],
) -> tuple[Any, bytes]:
    """Import what an earlier start compiled; else compile it, and keep it for the next.

    Parameters
    ----------
    compile_graph, import_graph
        Return what has ``export_model()``; the latter raises RuntimeError at what it
        cannot take.

    Returns
    -------
    tuple
        The compiled graph, and what it was imported from or exported to.
    """
    try:
        with private(folder) as place:
            blob = _read(place, key + SUFFIX)
            with suppress(RuntimeError):
                if blob is not None:
                    return import_graph(blob), blob
            compiled, blob = _exported(compile_graph)
            with suppress(OSError):
                _write(place, key + SUFFIX, blob)
                _drop_oldest(place)
            return compiled, blob
    except CacheRefused:
        return _exported(compile_graph)


def _exported(compile_graph: Callable[[], Any]) -> tuple[Any, bytes]:
    compiled = compile_graph()
    return compiled, compiled.export_model().read()


@contextmanager
def private(folder: Path) -> Iterator[int]:
    """Open the folder, made if need be; what it yields stays that folder whatever is renamed.

    Raises
    ------
    CacheRefused
        If it cannot be had, or if anybody but this user can write to it or read it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise CacheRefused(f"{folder} cannot be used: {error.strerror}") from error
    try:
        found = os.fstat(place)
        if found.st_uid != os.geteuid():
            raise CacheRefused(f"{folder} belongs to another user")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise CacheRefused(f"{folder} is open to other users; chmod 700 makes it private")
        yield place
    finally:
        os.close(place)


def problem_with(folder: Path) -> str:
    """Say why there will be no cache; empty if there will be one."""
    try:
        with private(folder):
            return ""
    except CacheRefused as refused:
        return str(refused)


def _read(place: int, name: str) -> bytes | None:
    """Give what was kept; None if there is nothing, or not all of it."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place)
        with open(descriptor, "rb") as file:
            wanted, blob = file.read(65), file.read()
            os.utime(descriptor)
    except OSError:
        return None
    return blob if wanted == hashlib.sha256(blob).hexdigest().encode() + b"\n" else None


def _write(place: int, name: str, blob: bytes) -> None:
    temporary = f".{name}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        with open(os.open(temporary, flags, 0o600, dir_fd=place), "wb") as file:
            file.write(hashlib.sha256(blob).hexdigest().encode() + b"\n")
            file.write(blob)
        os.replace(temporary, name, src_dir_fd=place, dst_dir_fd=place)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=place)
        raise


def _drop_oldest(place: int) -> None:
    """Keep what was used last, and what another start may be writing."""
    found = os.listdir(place)
    used = {name: os.stat(name, dir_fd=place).st_mtime for name in found}
    blobs = [name for name in found if name.endswith(SUFFIX)]
    left = [name for name in found if name.startswith(".") and used[name] < time.time() - 3600]
    for name in sorted(blobs, key=used.__getitem__, reverse=True)[KEPT:] + left:
        os.unlink(name, dir_fd=place)
