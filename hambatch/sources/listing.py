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
from itertools import groupby, islice
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

    The file at ``path``, of that ``sha256``, holds one percent-encoded name a line, in UTF-8. It is
    checked whenever it is read to the end: InputError is raised then if it has changed.
    ``survey`` is what else the folder held; empty for a listing that was read back.
    """

    path: Path
    count: int
    sha256: str
    survey: Survey = field(default_factory=Survey)

    def __iter__(self) -> Iterator[str]:
        """Yield names relative to the root, with surrogate escapes."""
        return map(decode_name, self.encoded())

    def encoded(self) -> Iterator[str]:
        """Yield names as they are written in the output; never more than ``count``."""
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


def list_images(
    root: Path, path: Path, *, follow_symlinks: bool = False, leave: Iterable[Path] = ()
) -> Listing:
    """List a folder recursively into the file ``path``; files and folders of ``leave`` get no row.

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
                count, digest = _sort(names, base, temporary)
        except sqlite3.Error as error:
            raise InputError(
                f"cannot sort the names of the images in {path.parent}: {error}.\n"
                "Next: make room, or name an output in another folder"
            ) from error
        finally:
            Path(f"{temporary}.sort").unlink(missing_ok=True)
    return Listing(path, count, digest)


def _sort(names: Iterable[str], base: sqlite3.Connection, path: Path) -> tuple[int, str]:
    """Write the names in their order; gives their number, and the hash of what was written."""
    # The database is deleted at once: neither a journal nor a sync is worth its time.
    for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
        base.execute(f"PRAGMA {setting}")
    base.execute("CREATE TABLE names (name TEXT)")
    base.executemany("INSERT INTO names VALUES (?)", ((encode_name(name),) for name in names))
    count, digest = 0, hashlib.sha256()
    with path.open("wb") as stream:
        # BINARY order of UTF-8 is the order of code points, as Python sorts text.
        for (name,) in base.execute("SELECT name FROM names ORDER BY name"):
            line = f"{name}\n".encode()
            stream.write(line)
            digest.update(line)
            count += 1
    return count, digest.hexdigest()


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
    old, new = ((name, 0) for name in before.encoded()), ((name, 1) for name in after.encoded())
    counts = [0, 0]
    names: list[str] = []
    for name, entries in groupby(merge(old, new), key=lambda entry: entry[0]):
        sides = [side for _, side in entries]
        if len(sides) == 1:
            counts[sides[0]] += 1
            if sides[0] and len(names) < NAMED_AT_MOST:
                names.append(name)
    return Changes(counts[1], counts[0], names)
