"""The listing of a run: names in the one order that every run uses, kept on disk.

Memory does not grow with the number of images: names are sorted by SQLite,
which spills to disk, and read from the stored file as they are needed.
"""

import hashlib
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from heapq import merge
from itertools import groupby, islice
from pathlib import Path

from hambatch.errors import InputError
from hambatch.sources.dicom.looking import as_frame
from hambatch.sources.entry import Entry, entry_of
from hambatch.sources.folder import NAMED_AT_MOST, Survey
from hambatch.sources.images import carried_columns, images_in, none_found
from hambatch.sources.sorting import Digests, Sorting
from hambatch.sources.source import Sources
from hambatch.system.files import refusing, replacing
from hambatch.system.text import decode_name, encode_name


@dataclass(frozen=True)
class Listing:
    """The images of a run, in the order of their names as written in the output.

    The file at ``path``, of that ``sha256``, holds one image a line, in UTF-8: its name, and where
    its bytes lie if the name alone does not say it (:mod:`hambatch.sources.entry`). It is checked
    whenever it is read to the end: InputError is raised then if it has changed. ``survey`` is what
    else the sources held; empty for a listing that was read back. ``names_sha256`` is the hash of
    the names alone, a line each; ``columns`` are the carried ones.
    """

    path: Path
    count: int
    sha256: str
    survey: Survey = field(default_factory=Survey)
    names_sha256: str = ""
    columns: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        """Yield names as the file system has them, with surrogate escapes."""
        return map(decode_name, self.encoded())

    def encoded(self) -> Iterator[str]:
        """Yield names as they are written in the output; never more than ``count``."""
        for line in self._lines():
            yield line.partition("\t")[0]

    def entries(self) -> Iterator[Entry]:
        """Yield names with the places of their bytes; never more than ``count``."""
        for line in self._lines():
            try:
                yield entry_of(*line.split("\t"))
            except (ValueError, TypeError) as error:
                raise self._changed("a line is not as a listing writes it") from error

    def _lines(self) -> Iterator[str]:
        digest = hashlib.sha256()
        try:
            with self.path.open("rb") as stream:
                for line in islice(stream, self.count):
                    digest.update(line)
                    yield line.decode().removesuffix("\n")
                digest.update(stream.read(1))
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise self._changed(f"it cannot be read: {error}") from error
        if digest.hexdigest() != self.sha256:
            raise self._changed(f"its sha256 is not {self.sha256}")

    def _changed(self, found: str) -> InputError:
        return InputError(
            f"{self.path} has changed since the images were listed: {found}.\n"
            "Next: add --overwrite to start afresh, and check this machine's disk and memory"
        )


@dataclass(frozen=True)
class Changes:
    """How many images came and went between two listings of a folder.

    ``added_names`` are the first of those that came, encoded.
    """

    added: int = 0
    gone: int = 0
    added_names: list[str] = field(default_factory=list)


def list_sources(
    sources: Sources,
    path: Path,
    *,
    leave: Iterable[Path] = (),
    leave_out: Callable[[Path], bool] | None = None,
) -> Listing:
    """List the images of the sources into the file ``path``; what is in ``leave`` gets no row.

    With ``leave_out``, which chooses archives that are not looked through, there may be no image.
    Raises InputError if a source is gone, there is no image, or ``path`` cannot be written.
    """
    survey, columns = Survey(), carried_columns(sources)
    found = images_in(sources, survey, leave=leave, columns=columns, leave_out=leave_out)
    listing = store(found, path, sources)
    if not (listing.count or leave_out):
        path.unlink()
        raise none_found(sources, survey)
    return replace(listing, survey=survey, columns=columns)


def entries_of(listing: Listing, names: Collection[str]) -> dict[str, Entry]:
    """Give the entries of some images by name, as the file system has it."""
    encoded = {encode_name(name): name for name in names}
    return {encoded[e.name]: e for e in listing.entries() if e.name in encoded}


def find_images_named(sources: Sources, names: Collection[str]) -> dict[str, Entry]:
    """Find images by name, as the file system has it; those that are gone are left out.

    Images of one folder need no look at it, and are never left out. Raises InputError as
    :func:`list_sources`.
    """
    if sources.are_paths:
        return {name: as_frame(Entry(encode_name(name)), sources) for name in names}
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        return entries_of(list_sources(sources, Path(place) / "listing"), names)


def list_names(
    sources: Sources, names: Iterable[str], path: Path, *, leave: Iterable[Path] = ()
) -> Listing:
    """List images of the sources by their encoded names, which come in order, into ``path``.

    Images of one folder need no look at it: a file that is gone is found so when it is read. Of
    other sources those that are gone are left out.
    """
    if sources.are_paths:
        return store((as_frame(Entry(name), sources) for name in names), path, sources)
    now = path.with_name("listing.now")
    try:
        listing = list_sources(sources, now, leave=leave)
        wanted = iter(names)
        found = store(_chosen(listing.entries(), wanted), path, sources)
    finally:
        now.unlink(missing_ok=True)
    return replace(found, columns=listing.columns)


def _chosen(entries: Iterable[Entry], names: Iterator[str]) -> Iterator[Entry]:
    """Yield the entries of some names; both are in the order of a listing."""
    name = next(names, None)
    for entry in entries:
        while name is not None and name < entry.name:
            name = next(names, None)
        if entry.name == name:
            yield entry


def store(entries: Iterable[Entry], path: Path, sources: Sources) -> Listing:
    """Sort images of sources into a stored listing; raises InputError if it cannot be written."""
    with replacing(path, mode=0o600) as temporary, refusing(path):
        try:
            with closing(sqlite3.connect(f"{temporary}.sort")) as base:
                lines = Sorting(base, sources)
                lines.add(entries)
                written = lines.write(temporary)
        except sqlite3.Error as error:
            raise InputError(
                f"cannot sort the names of the images in {path.parent}: {error}.\n"
                "Next: make room, or name an output in another folder"
            ) from error
        finally:
            Path(f"{temporary}.sort").unlink(missing_ok=True)
    return Listing(path, written.count, written.sha256, names_sha256=written.names_sha256)


def read_listing(path: Path) -> Listing:
    """Count and hash a stored listing."""
    count, digests = 0, Digests()
    with path.open("rb") as stream:
        for line in stream:
            count += 1
            digests.update(line)
    return Listing(path, count, digests.sha256, names_sha256=digests.names_sha256)


def compare(before: Iterable[str], after: Iterable[str]) -> Changes:
    """Count what only one of two listings holds, and name the first that only ``after`` holds.

    Both are encoded names in the order of a listing.
    """
    # One pass, nothing kept in memory.
    old, new = ((name, 0) for name in before), ((name, 1) for name in after)
    counts = [0, 0]
    names: list[str] = []
    for name, entries in groupby(merge(old, new), key=lambda entry: entry[0]):
        sides = [side for _, side in entries]
        if len(sides) == 1:
            counts[sides[0]] += 1
            if sides[0] and len(names) < NAMED_AT_MOST:
                names.append(name)
    return Changes(counts[1], counts[0], names)
