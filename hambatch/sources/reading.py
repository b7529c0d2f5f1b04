"""Bytes of files, read ahead by threads, with the hash of the very bytes read."""

import math
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from hambatch.system.files import sha256_of_bytes
from hambatch.system.shortages import is_of_the_machine, shortage_at


@dataclass(frozen=True)
class Limits:
    """Limits and leniency of decoding.

    Attributes
    ----------
    max_bytes
        A larger file is not read.
    max_pixels
        Width times height as the header says, before anything is decoded.
    salvage_truncated
        Decode what there is of a file that was cut off; its row says so.
    min_side
        Fewest pixels of the shorter side: a smaller picture shows no lesion.
    max_aspect
        Longer side by shorter side: the network sees every picture as a square.
    """

    max_bytes: int
    max_pixels: int
    salvage_truncated: bool = False
    min_side: int = 1
    max_aspect: float = math.inf

    def too_many_bytes(self, found: int) -> str:
        """Give the reason to refuse a file of ``found`` bytes, or an empty string."""
        if found <= self.max_bytes:
            return ""
        return (
            f"too large: {found / 1e6:.1f} MB, "
            f"the limit is {self.max_bytes / 1e6:g} (--max-megabytes)"
        )

    def too_many_pixels(self, width: int, height: int) -> str:
        """Give the reason to refuse an image of that size, or an empty string."""
        if width * height <= self.max_pixels:
            return ""
        return (
            f"too large: {width} x {height} is {width * height / 1e6:.1f} megapixels, "
            f"the limit is {self.max_pixels / 1e6:g} (--max-megapixels)"
        )

    def wrong_shape(self, width: int, height: int) -> str:
        """Give the reason to refuse an image that is too small or too narrow, or an empty string.

        Both sides have to be at least 1.
        """
        shorter, longer = sorted((width, height))
        if shorter < self.min_side:
            return f"too small: {width} x {height}, the limit is {self.min_side} (--min-side)"
        if longer <= self.max_aspect * shorter:
            return ""
        return (
            f"too narrow: {width} x {height} has an aspect of {longer / shorter:.5g}, "
            f"the limit is {self.max_aspect:g} (--max-aspect)"
        )


UNLIMITED = Limits(max_bytes=sys.maxsize, max_pixels=sys.maxsize)

BATCHES_AHEAD = 2
"""Batches that are being read while an earlier one is decoded."""

WAITS = (0.1, 0.5, 2.0, 5.0)
"""Seconds before a file is tried again that the machine could not read: handles come back, and a
network mount that is restarted answers again."""

ALIVE_SECONDS = 0.5
"""How often a reader that waits gives a sign of life."""

# Non-blocking: should a FIFO take the file's place after the first look, opening it returns.
_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

OUTSIDE = "symbolic link out of the folder (--follow-symlinks reads it)"


@dataclass(frozen=True)
class Item:
    """A file to score: its position in the run's listing, and where it is.

    A ``sentinel`` belongs to the engine and may lie outside the source. A process reads it once
    and keeps it: there are few, they are small, and a disk that fails for a moment in the middle
    of a run says nothing about the images.
    """

    index: int
    path: Path
    sentinel: bool = False


@dataclass(frozen=True)
class Fetched:
    """A file's bytes; ``problem`` says in a line why there are none."""

    index: int
    content: bytes
    sha256: str
    problem: str = ""


@dataclass(frozen=True)
class Bounds:
    """Which files may be read: of the limits only ``max_bytes`` counts here.

    ``root`` is a folder, itself free of symbolic links, that the files really have to lie below;
    None for no such check.
    """

    root: Path | None = None
    limits: Limits = UNLIMITED


def read_ahead(
    batches: Iterable[Sequence[Item]],
    readers: int,
    depth: int = BATCHES_AHEAD,
    bounds: Bounds = Bounds(),
    alive: Callable[[], None] | None = None,
) -> Iterator[list[Fetched]]:
    """Yield each batch's bytes in order, reading up to ``depth`` later batches meanwhile.

    ``alive`` is called while a file is waited for that the machine could not read. Raises
    Shortage as :func:`fetch`, after all batches before.
    """

    def read(item: Item) -> Fetched | None:
        # Readers do not wait: the files are tried again in their order, one at a time.
        try:
            return _fetched(item, bounds)
        except (OSError, MemoryError):
            return None

    Reading = tuple[Item, Future[Fetched | None]]

    def finished(batch: list[Reading]) -> list[Fetched]:
        return [future.result() or fetch(item, bounds, alive) for item, future in batch]

    with ThreadPoolExecutor(readers, thread_name_prefix="reader") as pool:
        ahead: deque[list[Reading]] = deque()
        for batch in batches:
            ahead.append([(item, pool.submit(read, item)) for item in batch])
            if len(ahead) > depth:
                yield finished(ahead.popleft())
        while ahead:
            yield finished(ahead.popleft())


class _Unreadable(Exception):
    """The message is the row's reason."""


def fetch(
    item: Item, bounds: Bounds = Bounds(), alive: Callable[[], None] | None = None
) -> Fetched:
    """Read one file whole and hash it; what is wrong with the file is data.

    What is wrong with the machine is none: the file is tried again after each of :data:`WAITS`.
    Raises Shortage if that was in vain. ``alive`` is called meanwhile.
    """
    for seconds in WAITS:
        try:
            return _fetched(item, bounds)
        except (OSError, MemoryError):
            _wait(seconds, alive)
    try:
        return _fetched(item, bounds)
    except (OSError, MemoryError) as error:
        raise shortage_at(item.path, error) from error


def _wait(seconds: float, alive: Callable[[], None] | None) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if alive:
            alive()
        time.sleep(min(left, ALIVE_SECONDS))


def _fetched(item: Item, bounds: Bounds) -> Fetched:
    """Read one file; raises only what is the machine's: OSError or MemoryError."""
    try:
        if item.sentinel:
            return Fetched(item.index, *_kept(item.path, bounds))
        content = _read(item, bounds)
    except _Unreadable as error:
        return Fetched(item.index, b"", "", str(error))
    except (OSError, ValueError) as error:
        if is_of_the_machine(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        return Fetched(item.index, b"", "", f"cannot be read: {reason}")
    return Fetched(item.index, content, sha256_of_bytes(content))


@lru_cache(maxsize=64)
def _kept(path: Path, bounds: Bounds) -> tuple[bytes, str]:
    # What could not be read is not kept: the next batch tries again.
    content = _read(Item(-1, path, sentinel=True), bounds)
    return content, sha256_of_bytes(content)


def _read(item: Item, bounds: Bounds) -> bytes:
    # The look before opening: to open a device can have effects.
    _check_regular(os.stat(item.path))
    descriptor = os.open(item.path, _OPEN_FLAGS)
    try:
        before = os.fstat(descriptor)
        _check_regular(before)
        if bounds.root and not item.sentinel:
            _check_inside(descriptor, item.path, bounds.root)
        if reason := bounds.limits.too_many_bytes(before.st_size):
            raise _Unreadable(reason)
        content = _read_at_most(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    found = len(content), after.st_size, after.st_mtime_ns
    if found != (before.st_size, before.st_size, before.st_mtime_ns):
        raise _Unreadable("changed while it was read")
    return content


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _Unreadable("cannot be read: not a regular file")


def _check_inside(descriptor: int, path: Path, root: Path) -> None:
    try:
        # Of the file that is open, whatever happens to its name: 2 us.
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        real = os.path.realpath(path)
    if not real.startswith(os.path.join(root, "")):
        raise _Unreadable(OUTSIDE)


def _read_at_most(descriptor: int, size: int) -> bytes:
    parts, missing = [], size
    while missing and (part := os.read(descriptor, missing)):
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
