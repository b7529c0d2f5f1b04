"""The order in which images are read: a compressed tar from front to back, all else as listed."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from hambatch.sources.archives.member import Method
from hambatch.sources.entry import Entry, entry_of
from hambatch.sources.sorting import CACHE_KIB


def in_reading_order(images: Iterable[tuple[int, Entry]]) -> Iterator[tuple[int, Entry]]:
    """Yield images with their index; those in compressed tars last, in the order of each archive.

    Memory does not grow with their number: they wait on disk.
    """
    # An empty name: a file of SQLite's own, in the folder for temporary files, once it is large.
    # Whoever draws may do so from several threads, one after the other.
    with closing(sqlite3.connect("", check_same_thread=False)) as base:
        waiting = _Waiting(base)
        for index, entry in images:
            if entry.member and entry.member.method is Method.STREAMED_TAR:
                waiting.add(index, entry, entry.member.offset)
            else:
                yield index, entry
        yield from waiting


class _Waiting:
    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            base.execute(f"PRAGMA {setting}")
        base.execute(
            "CREATE TABLE images (number INT, archive TEXT, offset INT, at INT, "
            "name TEXT, place TEXT, cells TEXT)"
        )

    def add(self, index: int, entry: Entry, offset: int) -> None:
        row = (entry.source, entry.name[: entry.cut], offset, index)
        line = (entry.name, entry.place(alone=False), entry.cells())
        self._base.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, *line))

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        ordered = "SELECT at, name, place, cells FROM images ORDER BY number, archive, offset, at"
        for index, name, place, cells in self._base.execute(ordered):
            yield index, entry_of(name, place, cells)
