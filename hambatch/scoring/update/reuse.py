"""Which rows of the table before are kept: those whose images have the same bytes now.

An image whose file looks as it did at the last run keeps its row; so does one that has the
sha256 of a row, under whatever name. Memory does not grow with the number of images: those that
have to be read wait on disk.
"""

import json
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from itertools import islice
from typing import Generic, TypeVar

from hambatch.errors import InputError
from hambatch.scoring.changes import READ_AT_ONCE, READERS
from hambatch.scoring.journal.rows import RowLog
from hambatch.scoring.start import ROWS_AT_ONCE
from hambatch.scoring.update.index import Index
from hambatch.scoring.worker.losses import is_of_a_loss
from hambatch.sources.entry import Entry, entry_of
from hambatch.sources.folder import LeftOut
from hambatch.sources.reading import OTHER_IDENTIFIERS, OTHER_SHA256, Bounds, Item, read_ahead
from hambatch.sources.reading_order import in_reading_order
from hambatch.sources.sorting import CACHE_KIB
from hambatch.sources.source import Sources
from hambatch.system.text import decode_name, encode_name, frame_of
from hambatch.types import Row

T = TypeVar("T")

_KEEP_FIRST = "UPDATE hashed SET row = ? WHERE sha256 = ? AND frame = ? AND row IS NULL"
_KEEP_OWN = "UPDATE hashed SET row = ? WHERE name = ? AND sha256 = ?"

OldRows = Callable[[], Iterator[Row]]
"""Reads the table before from its first row on."""


@dataclass
class Reused:
    """How many rows were kept; as in :class:`hambatch.scoring.journal.begun.Updating`."""

    by_stat: int = 0
    by_sha256: int = 0
    refused: int = 0
    rehashed: int = 0
    other_bytes: LeftOut = field(default_factory=LeftOut)


TO_INSTALL = "pip install 'hambatch["
"""In the reason of a file whose decoder is in a package that was not installed."""

UNREAD = "cannot be read: "
"""How the reason of a file begins that is not there, or that may not be read."""


def depends_on_bytes_alone(row: Row) -> bool:
    """Tell whether another run of the same settings would give the same bytes the same row."""
    if row.status == "ok":
        return True
    elsewhere = row.reason in (OTHER_SHA256, OTHER_IDENTIFIERS)
    elsewhere = elsewhere or row.reason.startswith("cannot be scored: ")
    elsewhere = elsewhere or TO_INSTALL in row.reason
    return bool(row.sha256) and not (elsewhere or is_of_a_loss(row.reason))


def reuse_rows(
    images: Iterable[tuple[Entry, str]],
    old: OldRows,
    log: RowLog,
    sources: Sources,
    bounds: Bounds,
    rehash: float,
    index: Index | None,
) -> Reused:
    """Bring into a journal what needs no worker: rows that are kept, and images without bytes.

    Parameters
    ----------
    images
        In the order of the listing, each with its line of the index that this run makes.
    bounds
        Which files may be read.
    rehash
        Percentage of the files that look as before, chosen at random, which are read all the same.
    index
        That of the table before; None: every file is read.

    Raises InputError if the table is none of hambatch's, no image of a source is there any more,
    or the journal cannot be written.
    """
    with closing(sqlite3.connect("")) as base, _Writing(log) as writing:
        reuse = _Reuse(base, writing, sources, bounds)
        reuse.by_stat(images, old, index, rehash)
        reuse.read_waiting()
        reuse.refuse_gone()
        reuse.by_sha256(old)
        return reuse.found


class _Writing:
    """Rows on their way into the journal, some at a time."""

    def __init__(self, log: RowLog) -> None:
        self._log = log
        self._rows: list[tuple[int, Row]] = []

    def __enter__(self) -> "_Writing":
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if not error:
            self._log.append(self._rows)
            self._log.sync()

    def add(self, index: int, row: Row) -> None:
        self._rows.append((index, row))
        if len(self._rows) == ROWS_AT_ONCE:
            self._log.append(self._rows)
            self._rows = []


class _At(Generic[T]):
    """Values by name, asked for in the order of a listing."""

    def __init__(self, named: Iterable[tuple[str, T]]) -> None:
        self._rest = iter(named)
        self._next = next(self._rest, None)

    def get(self, name: str) -> T | None:
        """Give the value of a name, once; every name has to come after the one before."""
        while self._next and self._next[0] < name:
            self._next = next(self._rest, None)
        return self._next[1] if self._next and self._next[0] == name else None


class _Reuse:
    def __init__(
        self, base: sqlite3.Connection, writing: _Writing, sources: Sources, bounds: Bounds
    ) -> None:
        self._base, self._writing = base, writing
        self._sources, self._bounds = sources, bounds
        self.found, self._chance = Reused(), random.SystemRandom()
        # Numbers of sources: with a scored row in the table before; with a file that can be read.
        self._scored_before, self._there = set[int](), set[int]()
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            base.execute(f"PRAGMA {setting}")
        # ``before``: what a file that looks as before hashed to.
        base.execute(
            "CREATE TABLE waiting (at INTEGER PRIMARY KEY, name TEXT, place TEXT, cells TEXT, "
            "before TEXT)"
        )
        base.execute(
            "CREATE TABLE hashed (at INTEGER PRIMARY KEY, name TEXT, sha256 TEXT, frame INT, "
            "before TEXT, row TEXT)"
        )

    def by_stat(
        self,
        images: Iterable[tuple[Entry, str]],
        old: OldRows,
        index: Index | None,
        rehash: float,
    ) -> None:
        """Keep the rows whose file looks as before; all other images wait to be read."""
        rows = _At((encode_name(row.image), row) for row in old())
        lines = _At((line.partition("\t")[0], line) for line in (index.lines() if index else ()))
        for at, (entry, line) in enumerate(images):
            row, before = rows.get(entry.name), lines.get(entry.name)
            if row and row.status == "ok":
                self._scored_before.add(entry.source)
            if entry.problem:
                self._refuse(at, entry, entry.problem)
            elif not (row and index and before == line and index.proves(line)):
                self._wait(at, entry, "")
            elif not depends_on_bytes_alone(row) or entry.sha256 not in ("", row.sha256):
                self._wait(at, entry, "")
            elif rehash and self._chance.random() * 100 < rehash:
                self._wait(at, entry, row.sha256)
            else:
                self._there.add(entry.source)
                self.found.by_stat += 1
                self._writing.add(at, row)

    def read_waiting(self) -> None:
        """Read and hash what waits; what cannot be read gets its failed row."""
        images: dict[int, Entry] = {}
        waiting = in_reading_order(self._waiting())

        def items() -> Iterator[list[Item]]:
            while batch := list(islice(waiting, READ_AT_ONCE)):
                images.update(batch)
                yield [self._sources.item(at, entry) for at, entry in batch]

        for fetched in read_ahead(items(), READERS, bounds=self._bounds):
            for file in fetched:
                entry, before = images.pop(file.index), self._before(file.index)
                if not file.problem.startswith(UNREAD):
                    self._there.add(entry.source)
                if before:
                    self.found.rehashed += 1
                    if file.sha256 != before:
                        self.found.other_bytes.add(decode_name(entry.name))
                if file.problem:
                    self._refuse(file.index, entry, file.problem, file.sha256)
                else:
                    hashed = (file.index, entry.name, file.sha256, entry.frame, before, None)
                    self._base.execute("INSERT INTO hashed VALUES (?, ?, ?, ?, ?, ?)", hashed)

    def refuse_gone(self) -> None:
        """Raise InputError if no image of a source can be read, and the table has scored some."""
        for number in sorted(self._scored_before - self._there):
            source = self._sources.parts[number].named
            raise InputError(
                f"no image of {source} can be read, and the table has scored rows of them.\n"
                "Next: mount the disk that they lie on, then run the same command again; or add "
                "--overwrite to score afresh what is there"
            )

    def by_sha256(self, old: OldRows) -> None:
        """Keep the rows of the same bytes: the image's own, else the first by name.

        Frames of one file have its sha256 in common: only the same one has the same row.
        """
        base = self._base
        if not base.execute("SELECT 1 FROM hashed LIMIT 1").fetchone():
            return
        # One entry for each image that has no row yet: a folder may be full of copies.
        base.execute("CREATE INDEX open ON hashed (sha256, frame) WHERE row IS NULL")
        base.execute("CREATE INDEX by_name ON hashed (name)")
        for row in old():
            if row.sha256 and depends_on_bytes_alone(row):
                content = json.dumps(astuple(replace(row, carried=())))
                base.execute(_KEEP_FIRST, (content, row.sha256, frame_of(row.image)))
                base.execute(_KEEP_OWN, (content, encode_name(row.image), row.sha256))
        kept = "SELECT at, name, before, row FROM hashed WHERE row IS NOT NULL ORDER BY at"
        for at, name, before, content in base.execute(kept):
            self._writing.add(at, _row(name, content))
            if before:
                self.found.by_stat += 1
            else:
                self.found.by_sha256 += 1

    def _refuse(self, at: int, entry: Entry, reason: str, sha256: str = "") -> None:
        self.found.refused += 1
        row = Row(decode_name(entry.name), "failed", sha256=sha256, reason=reason)
        self._writing.add(at, row)

    def _wait(self, at: int, entry: Entry, before: str) -> None:
        line = (at, entry.name, entry.place(alone=False), entry.cells(), before)
        self._base.execute("INSERT INTO waiting VALUES (?, ?, ?, ?, ?)", line)

    def _waiting(self) -> Iterator[tuple[int, Entry]]:
        ordered = "SELECT at, name, place, cells FROM waiting ORDER BY at"
        for at, name, place, cells in self._base.execute(ordered):
            yield at, entry_of(name, place, cells)

    def _before(self, at: int) -> str:
        found = self._base.execute("SELECT before FROM waiting WHERE at = ?", (at,))
        return str(found.fetchone()[0])


def _row(name: str, content: str) -> Row:
    _, status, prediction, probabilities, *rest = json.loads(content)
    return Row(decode_name(name), status, prediction, tuple(probabilities), *rest[:-1])
