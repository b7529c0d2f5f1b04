"""The listing of a run: names in the one order that every run uses, kept on disk.

Memory does not grow with the number of images: names are sorted by SQLite,
which spills to disk, and read from the stored file as they are needed.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from heapq import merge
from itertools import groupby
from pathlib import Path

from hambatch.errors import InputError
from hambatch.sources.folder import NAMED_AT_MOST, Survey, find_images, nothing_found
from hambatch.system.files import refusing, replacing
from hambatch.system.text import decode_name, encode_name

CACHE_KIB = 2000
"""Memory that sorting may use, in KiB."""


@dataclass(frozen=True)
class Listing:
    """The images of a run, in the order of their names as written in the output.

    The file at ``path``, of that ``sha256``, holds one percent-encoded name a line, in UTF-8.
    ``survey`` is what else the folder held; empty for a listing that was read back.
    """

    path: Path
    count: int
    sha256: str
    survey: Survey = field(default_factory=Survey)

    def __iter__(self) -> Iterator[str]:
        """Yield names relative to the root, with surrogate escapes."""
        with self.path.open(encoding="utf-8", newline="\n") as stream:
            for line in stream:
                yield decode_name(line.removesuffix("\n"))


@dataclass(frozen=True)
class Changes:
    """How many images came and went between two listings of a folder.

    ``added_names`` are the first of those that came, encoded.
    """

    added: int = 0
    gone: int = 0
    added_names: list[str] = field(default_factory=list)


def list_images(
    root: Path, path: Path, *, follow_symlinks: bool = False, leave: Iterable[Path] = ()
) -> Listing:
    """List a folder recursively into the file ``path``; files of ``leave`` get no row.

    Raises InputError if ``root`` is no folder or holds no image, or ``path`` cannot be written.
    """
    survey = Survey()
    found = find_images(root, survey, follow_symlinks=follow_symlinks, leave=leave)
    listing = store(found, path)
    if not listing.count:
        path.unlink()
        raise nothing_found(root, survey)
    return replace(listing, survey=survey)


def refuse_no_images(root: Path, *, follow_symlinks: bool = False) -> None:
    """Raise InputError if ``root`` is no folder, or no file in it gets a row; stops at the first.

    An archive that is not mounted would otherwise be a hundred thousand failed rows.
    """
    survey = Survey()
    if not any(find_images(root, survey, follow_symlinks=follow_symlinks)):
        raise nothing_found(root, survey)


def store(names: Iterable[str], path: Path) -> Listing:
    """Sort names into a stored listing; raises InputError if the file cannot be written."""
    with replacing(path, mode=0o600) as temporary, refusing(path):
        try:
            with closing(sqlite3.connect(f"{temporary}.sort")) as base:
                _sort(names, base, temporary)
        except sqlite3.Error as error:
            raise InputError(
                f"cannot sort the names of the images in {path.parent}: {error}.\n"
                "Next: make room, or name an output in another folder"
            ) from error
        finally:
            Path(f"{temporary}.sort").unlink(missing_ok=True)
    return read_listing(path)


def _sort(names: Iterable[str], base: sqlite3.Connection, path: Path) -> None:
    # The database is deleted at once: neither a journal nor a sync is worth its time.
    for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
        base.execute(f"PRAGMA {setting}")
    base.execute("CREATE TABLE names (name TEXT)")
    base.executemany("INSERT INTO names VALUES (?)", ((encode_name(name),) for name in names))
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        # BINARY order of UTF-8 is the order of code points, as Python sorts text.
        for (name,) in base.execute("SELECT name FROM names ORDER BY name"):
            stream.write(f"{name}\n")


def read_listing(path: Path) -> Listing:
    """Count and hash a stored listing."""
    count, digest = 0, hashlib.sha256()
    with path.open("rb") as stream:
        for line in stream:
            count += 1
            digest.update(line)
    return Listing(path, count, digest.hexdigest())


def compare(before: Listing, after: Listing) -> Changes:
    """Count what only one of two listings holds, and name the first that only ``after`` holds."""
    if before.sha256 == after.sha256:
        return Changes()
    # Both are sorted by the encoded name: one pass, nothing kept in memory.
    with before.path.open(encoding="utf-8") as old, after.path.open(encoding="utf-8") as new:
        both = merge(((line, 0) for line in old), ((line, 1) for line in new))
        counts = [0, 0]
        names: list[str] = []
        for line, entries in groupby(both, key=lambda entry: entry[0]):
            sides = [side for _, side in entries]
            if len(sides) == 1:
                counts[sides[0]] += 1
                if sides[0] and len(names) < NAMED_AT_MOST:
                    names.append(line.removesuffix("\n"))
    return Changes(counts[1], counts[0], names)
