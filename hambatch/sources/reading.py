"""Bytes of files, read ahead by threads, with the hash of the very bytes read."""

import math
import os
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from hambatch.sources.archives.member import Member, Unreadable
from hambatch.sources.archives.reading import Archives, reads_in_order
from hambatch.sources.kept_files import KeptFiles
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
    all_formats
        Decode what is neither JPEG, PNG nor DICOM, too, where a decoder is installed.
    """

    max_bytes: int
    max_pixels: int
    salvage_truncated: bool = False
    min_side: int = 1
    max_aspect: float = math.inf
    all_formats: bool = True

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

OTHER_SHA256 = "its sha256 is not the one that the manifest states"

OTHER_IDENTIFIERS = "the file was replaced after its identifiers were read"

OUTSIDE = "symbolic link out of the folder (--follow-symlinks reads it)"


@dataclass(frozen=True)
class Item:
    """A file to score: its position in the run's listing, and where it is.

    A ``sentinel`` belongs to the engine and may lie outside the source. A process reads it once
    and keeps it: there are few, they are small, and a disk that fails for a moment in the middle
    of a run says nothing about the images.

    ``source``: number of the source that it belongs to; ``member``: where it lies in the archive
    ``path``; ``frame``: which one of a DICOM file is scored, from 1, 0 for its only one;
    ``problem``: why it is not to be read; ``sha256``: what it has to hash to, if not empty;
    ``content``: the bytes themselves, for an image that lies in no file; whoever makes the item has
    compared their number with the limit. ``root``: below which the file really has to lie, where
    that differs from call to call. ``identified``: digest of the identifiers that its DICOM header
    has to have, if not empty.
    """

    index: int
    path: Path
    sentinel: bool = False
    source: int = 0
    member: Member | None = None
    problem: str = ""
    sha256: str = ""
    frame: int = 0
    content: bytes | None = None
    root: Path | None = None
    identified: str = ""


@dataclass(frozen=True)
class Fetched:
    """A file's bytes; ``problem`` says in a line why there are none.

    ``frame``, ``identified`` and ``sentinel`` are those of :class:`Item`.
    """

    index: int
    content: bytes
    sha256: str
    problem: str = ""
    frame: int = 0
    identified: str = ""
    sentinel: bool = False


@dataclass(frozen=True)
class Bounds:
    """Which files may be read: of the limits only ``max_bytes`` counts here.

    ``roots`` has for each source the folder, itself free of symbolic links, that its files really
    have to lie below, or None for no such check; empty: no check at all.
    """

    roots: tuple[Path | None, ...] = ()
    limits: Limits = UNLIMITED


_Reading = tuple[Item, Future["Fetched | None"]]


def read_ahead(
    batches: Iterable[Sequence[Item]],
    readers: int,
    depth: int = BATCHES_AHEAD,
    bounds: Bounds = Bounds(),
    alive: Callable[[], None] | None = None,
) -> Iterator[list[Fetched]]:
    """Yield each batch's bytes in order, reading up to ``depth`` later batches meanwhile.

    ``alive`` is called, by the thread that draws, while a file is waited for that the machine
    could not read, and while a compressed tar is inflated. An empty batch ends a series of images:
    archives are closed, and what was read may be other in the next one. Raises Shortage as
    :func:`fetch`, after all batches before.
    """
    with _Readers(readers, bounds, alive) as reading:
        ahead: deque[list[_Reading]] = deque()
        for batch in batches:
            ahead.append(reading.begun(batch))
            if not batch:
                reading.forget()
            if len(ahead) > depth:
                yield reading.finished(ahead.popleft())
        while ahead:
            yield reading.finished(ahead.popleft())


class _Readers:
    """Threads that read, the archives that they have open, and the files that they keep."""

    def __init__(self, readers: int, bounds: Bounds, alive: Callable[[], None] | None) -> None:
        self._bounds, self._alive = bounds, alive
        self._archives, self._inflating = Archives(), threading.Event()
        self._files = KeptFiles()
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="reader")
        # What is uncompressed from front to back is read by one thread.
        self._in_order = ThreadPoolExecutor(1, thread_name_prefix="uncompressing")

    def __enter__(self) -> "_Readers":
        return self

    def __exit__(self, *_: object) -> None:
        for threads in (self._threads, self._in_order):
            threads.shutdown()
        self._archives.close()

    def forget(self) -> None:
        """Close the archives, each as soon as no thread reads it, and keep no file."""
        self._archives.close()
        self._archives, self._files = Archives(), KeptFiles()

    def begun(self, batch: Sequence[Item]) -> list[_Reading]:
        """Begin to read a batch."""
        return [(item, self._submitted(item)) for item in batch]

    def finished(self, batch: list[_Reading]) -> list[Fetched]:
        """Wait for a batch; raises Shortage as :func:`fetch`."""
        again = partial(
            fetch,
            bounds=self._bounds,
            alive=self._alive,
            archives=self._archives,
            files=self._files,
        )
        return [self._awaited(future) or again(item) for item, future in batch]

    def _submitted(self, item: Item) -> Future[Fetched | None]:
        in_order = item.member and reads_in_order(item.member)
        threads = self._in_order if in_order else self._threads
        return threads.submit(self._read, item, (self._archives, self._files))

    def _read(self, item: Item, opened: tuple[Archives, KeptFiles]) -> Fetched | None:
        # Readers do not wait: the files are tried again in their order, one at a time.
        try:
            return _fetched(item, self._bounds, *opened, self._inflating.set)
        except (OSError, MemoryError):
            return None

    def _awaited(self, future: Future[Fetched | None]) -> Fetched | None:
        while True:
            try:
                return future.result(ALIVE_SECONDS)
            except TimeoutError:
                # Signs of life are for the thread that draws to give.
                if self._alive and self._inflating.is_set():
                    self._inflating.clear()
                    self._alive()


def fetch(
    item: Item,
    bounds: Bounds = Bounds(),
    alive: Callable[[], None] | None = None,
    archives: Archives | None = None,
    files: KeptFiles | None = None,
) -> Fetched:
    """Read one file whole and hash it; what is wrong with the file is data.

    ``archives`` are those that are open already, ``files`` those that are kept for their frames.

    What is wrong with the machine is none: the file is tried again after each of :data:`WAITS`.
    Raises Shortage if that was in vain. ``alive`` is called meanwhile.
    """
    archives, files = archives or Archives(), files or KeptFiles()
    for seconds in WAITS:
        try:
            return _fetched(item, bounds, archives, files, alive)
        except (OSError, MemoryError):
            _wait(seconds, alive)
    try:
        return _fetched(item, bounds, archives, files, alive)
    except (OSError, MemoryError) as error:
        raise shortage_at(item.path, error) from error


def _wait(seconds: float, alive: Callable[[], None] | None) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if alive:
            alive()
        time.sleep(min(left, ALIVE_SECONDS))


def _fetched(
    item: Item,
    bounds: Bounds,
    archives: Archives,
    files: KeptFiles,
    alive: Callable[[], None] | None,
) -> Fetched:
    """Read one file; raises only what is the machine's: OSError or MemoryError."""

    def read() -> bytes:
        if item.member:
            return archives.read(item.path, item.member, bounds.limits.max_bytes, alive)
        return _read(item, bounds)

    try:
        if item.sentinel:
            return Fetched(item.index, *_kept(item.path), sentinel=True)
        if item.frame and not item.problem and item.content is None:
            content, sha256 = files.read(item.path, (item.source, item.member), read)
        else:
            content = read()
            sha256 = sha256_of_bytes(content)
    except Unreadable as error:
        return Fetched(item.index, b"", "", str(error))
    except (OSError, ValueError) as error:
        if is_of_the_machine(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        return Fetched(item.index, b"", "", f"cannot be read: {reason}")
    if item.sha256 and sha256 != item.sha256:
        return Fetched(item.index, b"", sha256, OTHER_SHA256)
    return Fetched(item.index, content, sha256, frame=item.frame, identified=item.identified)


@lru_cache(maxsize=64)
def _kept(path: Path) -> tuple[bytes, str]:
    # What could not be read is not kept: the next batch tries again.
    content = _read(Item(-1, path, sentinel=True), Bounds())
    return content, sha256_of_bytes(content)


def _read(item: Item, bounds: Bounds) -> bytes:
    if item.problem:
        raise Unreadable(item.problem)
    if item.content is not None:
        return item.content
    # The look before opening: to open a device can have effects.
    _check_regular(os.stat(item.path))
    descriptor = os.open(item.path, _OPEN_FLAGS)
    try:
        before = os.fstat(descriptor)
        _check_regular(before)
        root = bounds.roots[item.source] if bounds.roots and not item.sentinel else None
        if root := item.root or root:
            _check_inside(descriptor, item.path, root)
        if reason := bounds.limits.too_many_bytes(before.st_size):
            raise Unreadable(reason)
        content = _read_at_most(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    found = len(content), after.st_size, after.st_mtime_ns
    if found != (before.st_size, before.st_size, before.st_mtime_ns):
        raise Unreadable("changed while it was read")
    return content


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("cannot be read: not a regular file")


def _check_inside(descriptor: int, path: Path, root: Path) -> None:
    try:
        # Of the file that is open, whatever happens to its name: 2 us.
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        real = os.path.realpath(path)
    if real.startswith(os.path.join(root, "")):
        return
    # A folder that is moved takes the open file along: its name is missing then, or is another's.
    if os.path.samestat(os.stat(path), os.fstat(descriptor)):
        raise Unreadable(OUTSIDE)
    raise Unreadable("changed while it was read")


def _read_at_most(descriptor: int, size: int) -> bytes:
    parts, missing = [], size
    while missing and (part := os.read(descriptor, missing)):
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
