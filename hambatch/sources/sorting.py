"""Sorts the images of a listing on disk, and tells apart those of one name.

Memory does not grow with the number of images: SQLite spills to disk.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hambatch.sources.archives.member import Method
from hambatch.sources.archives.zip_walk import LOCAL
from hambatch.sources.entry import Entry, entry_of
from hambatch.sources.source import Sources

CACHE_KIB = 2000
"""Memory that sorting may use, in KiB."""

_IN_ZIPS = (Method.ZIP_STORED, Method.ZIP_DEFLATED)

OVERLAPS = "member overlaps another one: the archive is damaged, or made to mislead"


@dataclass(frozen=True)
class Written:
    """How many lines a listing has, and the hashes of it and of its names."""

    count: int
    sha256: str
    names_sha256: str


class Digests:
    """The sha256 of a listing's lines, and of its names alone, a line each."""

    def __init__(self) -> None:
        self._lines = self._names = hashlib.sha256()

    def update(self, line: bytes) -> None:
        """Take the next line."""
        name, tab, _ = line.partition(b"\t")
        if tab and self._names is self._lines:
            self._names = self._lines.copy()
        if self._names is not self._lines:
            self._names.update(name.rstrip(b"\n") + b"\n")
        self._lines.update(line)

    @property
    def sha256(self) -> str:
        """Of the lines."""
        return self._lines.hexdigest()

    @property
    def names_sha256(self) -> str:
        """Of the names."""
        return self._names.hexdigest()


class Sorting:
    """Images of some sources on their way into a listing."""

    def __init__(self, base: sqlite3.Connection, sources: Sources) -> None:
        self._base, self._sources = base, sources
        self._overlaps = False
        # The database is deleted at once: neither a journal nor a sync is worth its time.
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            base.execute(f"PRAGMA {setting}")
        base.execute("CREATE TABLE images (name TEXT, place TEXT, cells TEXT)")

    def add(self, entries: Iterable[Entry]) -> None:
        """Take the images; those of one archive follow one another."""
        rows = ((entry.name, self._place(entry), entry.cells()) for entry in self._watched(entries))
        self._base.executemany("INSERT INTO images VALUES (?, ?, ?)", rows)

    def write(self, path: Path) -> "Written":
        """Write the lines in their order."""
        if self._overlaps:
            self._refuse_overlapping()
        while (written := self._written(path)) is None:
            self._tell_apart()
        return written

    def _written(self, path: Path) -> "Written | None":
        """Write the lines; None if a name stands there more than once."""
        count, digests, before, repeated = 0, Digests(), "", False
        with path.open("wb") as stream:
            # BINARY order of UTF-8 is the order of code points, as Python sorts text.
            ordered = "SELECT name, place, cells FROM images ORDER BY name"
            for name, place, cells in self._base.execute(ordered):
                line = f"{_line(name, place, cells)}\n".encode()
                stream.write(line)
                digests.update(line)
                count += 1
                repeated = repeated or name == before
                before = name
        return None if repeated else Written(count, digests.sha256, digests.names_sha256)

    def _tell_apart(self) -> None:
        """Give the second image of a name ``#2``, the third ``#3``, in the order of the sources."""
        base = self._base
        base.execute("CREATE INDEX IF NOT EXISTS by_name ON images (name)")
        several = "SELECT name FROM images GROUP BY name HAVING count(*) > 1"
        for (name,) in base.execute(several).fetchall():
            same = "SELECT rowid, place, cells FROM images WHERE name = ? ORDER BY rowid"
            number = 1
            found = [
                (rowid, entry_of(name, place, cells))
                for rowid, place, cells in base.execute(same, (name,))
            ]
            # Folders are read in any order.
            for rowid, repeated in sorted(found, key=lambda one: _where(one[1]))[1:]:
                number += 1
                while self._is_taken(f"{name}#{number}"):
                    number += 1
                entry = self._with_path(repeated)
                base.execute(
                    "UPDATE images SET name = ?, place = ? WHERE rowid = ?",
                    (f"{name}#{number}", self._place(entry), rowid),
                )

    def _with_path(self, entry: Entry) -> Entry:
        """Keep the path of a file whose name will not say it."""
        if entry.member or entry.problem or entry.path or entry.frame:
            return entry
        return replace(entry, path=self._sources.parts[entry.source].path_in(entry.name))

    def _place(self, entry: Entry) -> str:
        return entry.place(alone=self._sources.alone)

    def _is_taken(self, name: str) -> bool:
        found = self._base.execute("SELECT 1 FROM images WHERE name = ? LIMIT 1", (name,))
        return found.fetchone() is not None

    def _watched(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Pass entries on, and see whether a zip's members may overlap."""
        end, archive = 0, (-1, "")
        for entry in entries:
            member = entry.member
            # All frames of a member have its place.
            if member and member.method in _IN_ZIPS and entry.frame <= 1:
                of = (entry.source, entry.name[: entry.cut])
                end = end if of == archive else 0
                archive = of
                self._overlaps = self._overlaps or member.offset < end
                end = max(end, _end(entry))
            yield entry

    def _refuse_overlapping(self) -> None:
        """Make failed rows of members that share bytes: which of them is meant is not known."""
        base = self._base
        base.execute(
            "CREATE TEMP TABLE spans (archive TEXT, first INT, end INT, at INT, frame INT)"
        )
        base.executemany("INSERT INTO spans VALUES (?, ?, ?, ?, ?)", self._spans())
        ordered = base.execute(
            "SELECT archive, first, end, at FROM spans WHERE frame <= 1 ORDER BY archive, first"
        )
        wrong: set[int] = set()
        archive, end, at = "", 0, -1
        for name, first, its_end, its_at in ordered:
            if name == archive and first < end:
                wrong.update((at, its_at))
            if name != archive or its_end > end:
                archive, end, at = name, its_end, its_at
        for at in sorted(wrong | self._further_frames(wrong)):
            row = base.execute("SELECT name, place, cells FROM images WHERE rowid = ?", (at,))
            entry = replace(entry_of(*row.fetchone()), member=None, problem=OVERLAPS)
            update = "UPDATE images SET place = ? WHERE rowid = ?"
            base.execute(update, (self._place(entry), at))

    def _further_frames(self, members: set[int]) -> set[int]:
        """Find all frames but the first of members that are to be refused."""
        same = (
            "SELECT other.at FROM spans JOIN spans AS other ON other.archive = spans.archive "
            "AND other.first = spans.first AND other.frame > 1 WHERE spans.at = ?"
        )
        if not self._base.execute("SELECT 1 FROM spans WHERE frame > 1 LIMIT 1").fetchone():
            return set()
        self._base.execute("CREATE INDEX by_place ON spans (archive, first)")
        return {at for member in members for (at,) in self._base.execute(same, (member,))}

    def _spans(self) -> Iterator[tuple[str, int, int, int, int]]:
        rows = self._base.execute("SELECT rowid, name, place FROM images WHERE place LIKE '%,%'")
        for at, name, place in rows:
            entry = entry_of(name, place)
            if entry.member and entry.member.method is not Method.STREAMED_TAR:
                archive = f"{entry.source} {name[: entry.cut]}"
                yield archive, entry.member.offset, _end(entry), at, entry.frame


def _where(entry: Entry) -> tuple[int, int, int]:
    """Order images of one name by where they lie."""
    return entry.source, entry.cut, entry.member.offset if entry.member else 0


def _end(entry: Entry) -> int:
    """Say where a member ends at the earliest: its name takes more."""
    if entry.member is None:
        raise AssertionError("no member has no end")
    head = 0 if entry.member.method is Method.TAR else LOCAL.size
    return entry.member.offset + head + entry.member.stored


def _line(name: str, place: str, cells: str) -> str:
    return "\t".join([name, place, cells] if cells else [name, place] if place else [name])
