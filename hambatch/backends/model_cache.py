"""Compiled INT8 graphs, kept for the next start.

A cached graph is handed to native code, so it is believed only from a private folder
(:mod:`hambatch.private_cache`), and only whole::

    $XDG_CACHE_HOME/hambatch/models/
        KEY.blob                        sha256 of the rest, a newline, what OpenVINO exported

KEY is the sha256 of everything that the graph was compiled from, with and for. Anything that is
wrong with the cache costs time only: the graph is compiled as if there were none.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hambatch.engines.choice import INT8
from hambatch.private_cache import (
    CacheRefused,
    left_behind,
    private,
    read_private,
    user_cache,
    write_private,
)

SUFFIX = ".blob"

KEPT = 4
"""Most compiled graphs in the folder, some 35 MB each; the one used longest ago goes first."""


def cache_folder(precision: str) -> Path | None:
    """Name the folder for compiled graphs of a precision; None if none is to be kept.

    OpenVINO prepares an INT8 graph for seconds. The FP32 graph compiles nearly as fast as what
    is compiled of it, twice as large as its file, is read back.
    """
    return user_cache("models") if precision == INT8 else None


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
                write_private(place, key + SUFFIX, _line(blob), blob)
                _drop_oldest(place)
            return compiled, blob
    except CacheRefused:
        return _exported(compile_graph)


def _exported(compile_graph: Callable[[], Any]) -> tuple[Any, bytes]:
    compiled = compile_graph()
    return compiled, compiled.export_model().read()


def _read(place: int, name: str) -> bytes | None:
    """Give what was kept; None if there is nothing, or not all of it."""
    try:
        content = read_private(place, name)
    except CacheRefused:
        return None
    wanted, blob = content[:65], content[65:]
    return blob if wanted == _line(blob) else None


def _line(blob: bytes) -> bytes:
    return hashlib.sha256(blob).hexdigest().encode() + b"\n"


def _drop_oldest(place: int) -> None:
    """Keep what was used last, and what another start may be writing."""
    found = os.listdir(place)
    blobs = [name for name in found if name.endswith(SUFFIX)]
    used = {name: os.stat(name, dir_fd=place).st_mtime for name in blobs}
    left = left_behind(place, (name for name in found if name.startswith(".")))
    for name in sorted(blobs, key=used.__getitem__, reverse=True)[KEPT:] + left:
        os.unlink(name, dir_fd=place)
