"""The index beside a table: what the file of each row looked like when the images were listed.

It has a line for each row, in their order: name, place as in a listing, then size, time of change
of the content, time of change of the file (both in ns) and inode; of a member, those of its
archive. A header names the table and its sources. The record has the sha256 of the whole index:
one that is damaged, or of another table, is never used.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

from hambatch.errors import InputError
from hambatch.scoring.journal.folder import Journal
from hambatch.scoring.record import update_in
from hambatch.sinks.publish import index_path
from hambatch.sources.listing import Listing
from hambatch.sources.reading import UNLIMITED
from hambatch.sources.source import Sources
from hambatch.system.files import open_regular
from hambatch.system.schema import read_json

FORMAT = 1

HEADER_AT_MOST = 10_000_000
"""Bytes of a header; it names every source."""

NO_STAT = "-"
"""Of what is no file that can be looked at, and of a file whose bytes are to be read each time."""

UNSETTLED_NS = 2 * 10**9
"""A file that was changed so shortly before its listing is read again the next time: a second
change may leave size and times as they are. FAT counts by two seconds."""


@dataclass(frozen=True)
class _Header:
    format: Literal[1]
    table_sha256: str
    sources: str | list[str]
    listed_ns: int


class UnfitIndex(Exception):
    """Why an index is not used, in a few words."""


class Stats:
    """Looks at the files of a listing, and at the archives of its members."""

    def __init__(self, sources: Sources) -> None:
        self._sources, self._roots = sources, sources.bounds(UNLIMITED).roots
        # Members of one archive follow one another, and so do files of one folder.
        self._of = lru_cache(maxsize=1)(self._look)
        self._is_real = lru_cache(maxsize=64)(_is_real)

    def lines(self, listing: Listing) -> Iterator[str]:
        """Yield the lines of the index, without line ends."""
        for entry in listing.entries():
            path = "" if entry.problem else self._sources.where(entry)
            found = self._of(path, entry.source)
            yield f"{entry.name}\t{entry.place(alone=False)}\t{found}"

    def _look(self, path: str, source: int) -> str:
        root = self._roots[source] if self._roots else None
        try:
            if not path or (root and self._leads_out(path, str(root))):
                return NO_STAT
            found = os.stat(path)
        except OSError:
            return NO_STAT
        if not stat.S_ISREG(found.st_mode):
            return NO_STAT
        return f"{found.st_size}\t{found.st_mtime_ns}\t{found.st_ctime_ns}\t{found.st_ino}"

    def _leads_out(self, path: str, root: str) -> bool:
        """Tell whether links lead out of the source: no file shows that such a link changed."""
        if self._is_real(os.path.dirname(path)) and not os.path.islink(path):
            return False
        return not os.path.realpath(path).startswith(os.path.join(root, ""))


def _is_real(folder: str) -> bool:
    return os.path.realpath(folder) == os.path.abspath(folder)


def keep_stats(journal: Journal, sources: Sources, listing: Listing) -> str:
    """Look at every file of a listing, and keep that in the journal; gives the sha256 of it."""
    digest = hashlib.sha256()
    with journal.new_file("stats") as stream:
        for line in Stats(sources).lines(listing):
            content = f"{line}\n".encode()
            digest.update(content)
            stream.write(content)
    return digest.hexdigest()


def kept_stats(journal: Journal) -> Iterator[str]:
    """Yield the lines that a journal keeps, without line ends."""
    with journal.stats_path.open("rb") as stream:
        for line in stream:
            yield line.decode().removesuffix("\n")


def write_index(
    path: Path, journal: Journal, table_sha256: str, sources: Sources, kept: tuple[int, str]
) -> str:
    """Write the index of a table; gives its sha256.

    ``kept``: when the images were listed, in ns, and what :func:`keep_stats` gave. Raises
    InputError if the journal's lines were changed since.
    """
    listed_ns, wanted = kept
    about = {"format": FORMAT, "table_sha256": table_sha256, "sources": sources.recorded}
    header = f"{json.dumps({**about, 'listed_ns': listed_ns})}\n".encode()
    whole, lines = hashlib.sha256(header), hashlib.sha256()
    with path.open("wb") as stream, journal.stats_path.open("rb") as stats:
        stream.write(header)
        while part := stats.read(2**20):
            lines.update(part)
            whole.update(part)
            stream.write(part)
    if lines.hexdigest() != wanted:
        raise InputError(
            f"{journal.stats_path} was changed since the images were listed.\n"
            "Next: add --overwrite to start afresh, and check this machine's disk and memory"
        )
    return whole.hexdigest()


@dataclass(frozen=True)
class Index:
    """An index that fits its table.

    ``stream`` is at its first line. ``listed_ns`` is when the images were listed.
    """

    stream: BinaryIO
    listed_ns: int

    def lines(self) -> Iterator[str]:
        """Yield the lines, without line ends; once."""
        for line in self.stream:
            yield line.decode(errors="replace").removesuffix("\n")

    def proves(self, line: str) -> bool:
        """Tell whether a file whose line is in the index has the bytes of its row."""
        try:
            _, mtime_ns, ctime_ns, _ = map(int, line.split("\t")[2:])
        except ValueError:
            return False
        return max(mtime_ns, ctime_ns) < self.listed_ns - UNSETTLED_NS


@contextmanager
def open_index(out: Path, record: dict[str, Any], sources: Sources) -> Iterator[Index]:
    """Open the index of the table ``out``, which is its record's.

    Raises UnfitIndex if it cannot be used.
    """
    path, wanted = index_path(out), update_in(record).get("index_sha256")
    if not wanted:
        raise UnfitIndex(f"{out.name} was made without --update")
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(open_regular(path))
        except OSError as error:
            raise UnfitIndex(error.strerror or str(error)) from error
        if hashlib.file_digest(stream, "sha256").hexdigest() != wanted:
            raise UnfitIndex("it is damaged, or not the one that the record names")
        stream.seek(0)
        header = _header(stream)
        if header.table_sha256 != record["output"]["sha256"]:
            raise UnfitIndex("it is of another table")
        if header.sources != sources.recorded:
            raise UnfitIndex("its sources were others")
        yield Index(stream, header.listed_ns)


def _header(stream: BinaryIO) -> _Header:
    try:
        return read_json(stream.readline(HEADER_AT_MOST), _Header)
    except ValueError as error:
        raise UnfitIndex(f"{error}") from error
