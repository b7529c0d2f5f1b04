"""Members of archives, read by several threads; descriptors are kept open between members."""

import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from hambatch.sources.archives.inflating import Inflating
from hambatch.sources.archives.member import Damaged, Member, Method, Unreadable
from hambatch.sources.archives.plain_reading import (
    OTHER,
    read_tar_member,
    read_zip_member,
    tar_content,
)
from hambatch.sources.archives.tar_walk import BLOCK
from hambatch.sources.archives.windows import Window

KEPT_OPEN = 16
"""Archives whose descriptor is kept; another one closes that which was used the longest ago."""

CHANGED = "archive changed while it was read"

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_Status = tuple[int, int, int, int]


_SKIPPED = 1 << 24
"""Bytes that are inflated between two signs of life."""


def reads_in_order(member: Member) -> bool:
    """Tell a member of a compressed tar: one thread has to read these, in the archive's order."""
    return member.method == Method.STREAMED_TAR


class Archives:
    """The archives of one process; several threads may read.

    An archive has to stay as it was when its first member was read here.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, _Archive] = OrderedDict()
        self._seen: dict[Path, _Status] = {}

    def read(
        self,
        path: Path,
        member: Member,
        max_bytes: int,
        alive: Callable[[], None] | None = None,
    ) -> bytes:
        """Read one member and check what the archive says of it.

        ``alive`` is called now and then while a compressed tar is inflated up to the member.
        Raises Unreadable with the reason of the row, and OSError as the system gives it.
        """
        if member.size > max_bytes:
            raise Unreadable(too_many_bytes(member.size, max_bytes))
        archive = self._archive(path)
        content = archive.read(member, alive or _nothing)
        if _status(os.fstat(archive.descriptor)) != archive.status:
            raise Unreadable(CHANGED)
        return content

    def close(self) -> None:
        """Close all archives, each as soon as no thread reads it."""
        with self._lock:
            self._open.clear()

    def _archive(self, path: Path) -> "_Archive":
        found = os.stat(path)
        status = _status(found)
        with self._lock:
            if self._seen.setdefault(path, status) != status:
                raise Unreadable(CHANGED)
            if path not in self._open:
                if not stat.S_ISREG(found.st_mode):
                    raise Unreadable("archive cannot be read: not a regular file")
                archive = _Archive(path)
                if archive.status != status:
                    raise Unreadable(CHANGED)
                self._open[path] = archive
                if len(self._open) > KEPT_OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(path)
            return self._open[path]


class _Archive:
    """An open archive; its descriptor is closed when no thread has it any more."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, _FLAGS)
        self.status = _status(os.fstat(self.descriptor))
        self._stream = _InOrder(Window(self.descriptor, 0, self.status[2]))

    def __del__(self) -> None:
        # Not where opening it failed.
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)

    def read(self, member: Member, alive: Callable[[], None]) -> bytes:
        """Read one member; raises Unreadable."""
        # Before memory is taken for it.
        if member.method != Method.STREAMED_TAR and member.stored > self.status[2]:
            raise Unreadable("member is cut off: it is larger than the archive")
        if member.method == Method.TAR:
            return read_tar_member(self.descriptor, member)
        if member.method == Method.STREAMED_TAR:
            return self._stream.read(member, alive)
        return read_zip_member(self.descriptor, member)


class _InOrder:
    """A compressed tar, inflated forward; for an earlier member, from its beginning again."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._stream: Inflating | None = None
        self._end: tuple[int, str] | None = None

    def read(self, member: Member, alive: Callable[[], None]) -> bytes:
        """Read one member; raises Unreadable."""
        begin = member.offset - BLOCK
        with self._lock:
            if self._end and begin + BLOCK + member.size > self._end[0]:
                raise Unreadable(self._end[1])
            stream = self._stream
            if stream is None or stream.place > begin:
                stream = Inflating(self._window)
            # After an error its state is not known.
            self._stream = None
            try:
                while (missing := begin - stream.place) > 0:
                    alive()
                    if not stream.skip(min(missing, _SKIPPED)):
                        raise Unreadable(OTHER)
                content = stream.read(BLOCK + member.size)
            except Damaged as error:
                self._end = stream.place, str(error)
                raise Unreadable(str(error)) from error
            self._stream = stream
        return tar_content(content, member)


def too_many_bytes(found: int, most: int) -> str:
    """Give the reason to refuse a member of ``found`` bytes."""
    return f"too large: {found / 1e6:.1f} MB, the limit is {most / 1e6:g} (--max-megabytes)"


def _nothing() -> None:
    """Do nothing."""


def _status(found: os.stat_result) -> _Status:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
