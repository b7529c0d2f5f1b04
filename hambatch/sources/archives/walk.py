"""The walk over one archive, in a process of its own: the parser of what others made.

:mod:`hambatch.sources.archives.walking` starts it. It reports rows in lists, each
``[name, method, offset, stored, size, head, crc32]`` or ``[name, problem]``, and at its end what
gets no row, or ``{"errno": NUMBER}`` for an error of the machine.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hambatch.sources.archives.inflating import (
    Inflating,
    is_compressed,
    other_compression,
)
from hambatch.sources.archives.member import Damaged, Found, Member, Method, Unreadable, damaged
from hambatch.sources.archives.plain_reading import WRONG_CRC, crc32_of, data_place, head_of
from hambatch.sources.archives.tar_walk import BLOCK, CUT, Content, PlainTar, is_header, walk_tar
from hambatch.sources.archives.windows import Window
from hambatch.sources.archives.zip_walk import OUTSIDE_DATA, is_zip, walk_zip
from hambatch.sources.content import HEAD_BYTES, image_format
from hambatch.sources.folder import Survey, is_named_like_an_archive, is_named_unlike_an_image
from hambatch.sources.skipped import Known, Skipped, known_file, known_folder
from hambatch.system.files import open_regular
from hambatch.system.probe import end_with_parent, report

AT_ONCE = 500
"""Rows in a report, at most."""

LONG_AT_ONCE = 1 << 20
"""Characters of names in a report, at most, but for one name."""

FOLDERS_KEPT = 10_000
"""Folders of thumbnails and the like that are remembered, so that each is counted once."""

UNPACK = "unpack it first and score it alone"


def main() -> None:
    """Walk the archive that the arguments name, and report."""
    path, max_ratio, nested = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "nested"
    survey = Survey()
    end_with_parent()
    try:
        with open_regular(Path(path)) as stream:
            size = os.fstat(stream.fileno()).st_size
            window = Window(stream.fileno(), 0, size)
            _report(rows_of(window, survey, max_ratio, nested=nested))
    except OSError as error:
        report({"errno": error.errno})
    except MemoryError:
        report({"errno": None})
    else:
        report({"survey": asdict(survey)})


def rows_of(window: Window, survey: Survey, max_ratio: float, *, nested: bool) -> Iterator[Found]:
    """Yield the members that get a row; last, without a name, what is wrong with the archive.

    As :func:`hambatch.sources.archives.walking.walk_archive`, in this process.
    """
    return _Walk(window, max_ratio, nested, survey).found()


def _report(found: Iterator[Found]) -> None:
    rows: list[list[Any]] = []
    length = 0
    try:
        for one in found:
            member = one.member
            if member is None:
                rows.append([one.name, one.problem])
            else:
                rows.append(
                    [
                        one.name,
                        int(member.method),
                        member.offset,
                        member.stored,
                        member.size,
                        member.head,
                        member.crc32,
                    ]
                )
            length += len(one.name)
            if len(rows) == AT_ONCE or length > LONG_AT_ONCE:
                report(rows)
                rows, length = [], 0
    finally:
        report(rows)


class _Walk:
    """The rows of one archive, and what gets none."""

    def __init__(self, window: Window, max_ratio: float, nested: bool, survey: Survey) -> None:
        self._window, self._max_ratio, self._nested = window, max_ratio, nested
        self._rules = _Rules(survey)
        self._total = 0

    def found(self) -> Iterator[Found]:
        """Yield the rows in the archive's order; last, without a name, what is wrong with it."""
        try:
            for one in self._members():
                yield self._judged(one)
        except Damaged as error:
            yield Found("", None, str(error))

    def _members(self) -> Iterator[Found]:
        window = self._window
        head = window.read_at(0, 2 * HEAD_BYTES)
        if other := other_compression(head):
            raise Damaged(f"archive is compressed by {other}, wanted gzip or zstd")
        if is_compressed(head):
            stream = Inflating(window, self._max_ratio)
            start = stream.read(BLOCK)
            if start.strip(b"\0") and not is_header(start):
                raise Damaged("archive is a compressed file, wanted a compressed tar")
            stream = Inflating(window, self._max_ratio)
            return walk_tar(stream, 0, Method.STREAMED_TAR, self._of_tar)
        if not is_header(head) and is_zip(window):
            return self._of_zip(window, self._nested)
        if not is_header(head):
            if head[:BLOCK].strip(b"\0"):
                raise Damaged("archive is neither a zip nor a tar")
            # So begins an empty tar, and so does a file that a disk has lost.
            raise damaged("it begins with zero bytes: it holds no member, or was never written")
        return walk_tar(PlainTar(window), 0, Method.TAR, self._of_tar)

    def _of_zip(self, window: Window, nested: bool) -> Iterator[Found]:
        for found in walk_zip(window):
            if not is_named_unlike_an_image(found.name):
                if self._rules.gets_row(found.name):
                    yield found
                continue
            try:
                head = self._head(found)
            except Unreadable as error:
                # Its own header may have the name of an image.
                if self._rules.gets_row(found.name, is_known_only=True):
                    yield Found(found.name, None, str(error))
                continue
            if not (nested and is_named_like_an_archive(found.name)):
                if self._rules.gets_row(found.name, head):
                    yield found
            elif self._rules.gets_row(found.name, is_known_only=True):
                yield from self._inside_zip(found, head)

    def _head(self, found: Found) -> bytes:
        if found.problem == OUTSIDE_DATA:
            raise Unreadable(found.problem)
        return head_of(self._window, found.member) if found.member else b""

    def _inside_zip(self, found: Found, head: bytes) -> Iterator[Found]:
        member = found.member
        if member is None:
            yield found
        elif member.method != Method.ZIP_STORED:
            yield Found(found.name, None, f"member is an archive that is compressed: {UNPACK}")
        else:
            try:
                window = self._window_of(member)
            except Unreadable as error:
                yield Found(found.name, None, str(error))
            else:
                yield from self._inner(found.name, head, window)
                # The members of a tar have no check sums of their own.
                if is_header(head) and crc32_of(window) != member.crc32:
                    yield Found(found.name, None, WRONG_CRC)

    def _window_of(self, member: Member) -> Window:
        return self._window.part(data_place(self._window, member), member.stored)

    def _of_tar(self, found: Found, content: Content) -> Iterator[Found]:
        yield from self._visited(found, content, self._nested)

    def _of_inner_tar(self, found: Found, content: Content) -> Iterator[Found]:
        yield from self._visited(found, content, False)

    def _visited(self, found: Found, content: Content, nested: bool) -> Iterator[Found]:
        """Yield the rows of one member of a tar, after all its bytes were found to be there."""
        if not is_named_unlike_an_image(found.name):
            if self._rules.gets_row(found.name):
                yield from _if_whole(found, content)
            return
        window, base = content.window(), found.member.offset if found.member else 0
        head = content.read(HEAD_BYTES) if found.member else b""
        if not (nested and is_named_like_an_archive(found.name)):
            if self._rules.gets_row(found.name, head):
                yield from _if_whole(found, content)
        elif not self._rules.gets_row(found.name, is_known_only=True):
            pass
        elif found.member is None:
            yield found
        elif window:
            yield from self._inner(found.name, head, window)
        else:
            yield from self._inner_streamed(found.name, head, content, base)

    def _inner(self, name: str, head: bytes, window: Window) -> Iterator[Found]:
        """Yield the rows of an archive inside the archive, in its place."""
        try:
            if is_compressed(head):
                raise Damaged(f"archive is compressed inside of another one: {UNPACK}")
            if not is_header(head) and is_zip(window):
                found = self._of_zip(window, False)
            else:
                found = walk_tar(PlainTar(window), window.start, Method.TAR, self._of_inner_tar)
            yield from self._named(name, found)
        except Damaged as error:
            yield Found(name, None, str(error))

    def _named(self, name: str, found: Iterator[Found]) -> Iterator[Found]:
        """Put the inner archive's name before those of its members."""
        self._rules.inside = f"{name}!/"
        try:
            for one in found:
                yield Found(f"{name}!/{one.name}", one.member, one.problem)
        finally:
            self._rules.inside = ""

    def _inner_streamed(
        self, name: str, head: bytes, content: Content, base: int
    ) -> Iterator[Found]:
        try:
            if is_compressed(head) or head.startswith(b"PK"):
                raise Damaged(f"archive lies in a compressed one and is no plain tar: {UNPACK}")
            stream = _After(head, content)
            found = walk_tar(stream, base, Method.STREAMED_TAR, self._of_inner_tar)
            yield from self._named(name, found)
        except Damaged as error:
            yield Found(name, None, str(error))

    def _judged(self, found: Found) -> Found:
        """Refuse what would inflate to far more than it is stored in: nothing of it is inflated."""
        member = found.member
        if member is None or not self._max_ratio:
            return found
        limit = f"the limit is {self._max_ratio:g} times (--max-ratio)"
        if member.size > self._max_ratio * member.stored:
            sizes = f"{_mb(member.size)} from {_mb(member.stored)}"
            return Found(found.name, None, f"member would inflate to {sizes}, {limit}")
        # In a compressed tar the limit is that of the whole stream.
        if member.method != Method.STREAMED_TAR:
            self._total += member.size
        if self._total > self._max_ratio * self._window.size:
            sizes = f"{_mb(self._total)} from {_mb(self._window.size)}"
            text = f"member is one too many: up to it the archive would inflate to {sizes}, {limit}"
            return Found(found.name, None, text)
        return found


def _if_whole(found: Found, content: Content) -> Iterator[Found]:
    """Yield the row of a member of a tar, once its bytes were passed over."""
    try:
        is_whole = content.is_whole()
    except Damaged as error:
        yield Found(found.name, None, f"member cannot be read: {error}")
        raise
    yield found if is_whole else Found(found.name, None, CUT)


class _Rules:
    """Which members get a row: as in a folder."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self.inside = ""
        """What stands before the names of the members of an inner archive."""
        self._folder, self._known = "", None  # type: str, Known | None
        self._counted: set[str] = set()

    def gets_row(
        self, name: str, head: bytes | None = None, *, is_known_only: bool = False
    ) -> bool:
        """Tell whether a member gets a row, and count it if not.

        ``head``: its first bytes, for a member whose name is unlike an image's.
        """
        folder, _, last = name.rpartition("/")
        if self.inside + folder != self._folder:
            self._folder, self._known = (
                self.inside + folder,
                self._known_folder(self.inside + folder),
            )
        if known := self._known or (known_file(last) if last.startswith(".") else None):
            self._survey.skipped.setdefault(known.name, Skipped(known.what)).files += 1
            return False
        if head is None or is_known_only or image_format(head):
            return True
        is_archive = is_named_like_an_archive(name)
        (self._survey.archives if is_archive else self._survey.others).add(self.inside + name)
        return False

    def _known_folder(self, folder: str) -> Known | None:
        parts = folder.split("/")
        for k, part in enumerate(parts):
            if known := known_folder(part):
                self._count("/".join(parts[: k + 1]), known)
                return known
        return None

    def _count(self, folder: str, known: Known) -> None:
        if folder not in self._counted:
            self._survey.skipped.setdefault(known.name, Skipped(known.what)).folders += 1
            if len(self._counted) < FOLDERS_KEPT:
                self._counted.add(folder)


class _After:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, content: Content) -> None:
        self._head, self._content, self.place = head, content, 0

    def read(self, size: int, /) -> bytes:
        part = self._head[self.place : self.place + size]
        part += self._content.read(size - len(part))
        self.place += len(part)
        return part

    def skip(self, size: int, /) -> int:
        known = min(size, max(0, len(self._head) - self.place))
        there = known + self._content.skip(size - known)
        self.place += there
        return there


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
