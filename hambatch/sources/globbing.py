"""What a quoted glob matches, part by part; ``**`` stands for any number of folders."""

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import translate
from pathlib import Path

from hambatch.sources.folder import Survey
from hambatch.sources.skipped import Skipped, known_folder
from hambatch.system.files import ABOUT_NO_FILE
from hambatch.system.text import encode_name

WILDCARDS = frozenset("*?[")

ANY_FOLDERS = "**"

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


class Glob:
    """A pattern below a folder.

    ``survey`` gets the folders that cannot be read, and those that no wildcard stands for: links
    to folders, unless ``follow_symlinks``, and folders of thumbnails and the like. ``is_left``
    chooses paths that are no part of the source. Folders in ``walked`` are looked through already:
    ``**`` does not enter them.
    """

    def __init__(
        self,
        root: Path,
        pattern: str,
        survey: Survey,
        is_left: Callable[[str], bool],
        *,
        follow_symlinks: bool = False,
    ) -> None:
        self._root, self._survey, self._is_left = root, survey, is_left
        self._follow = follow_symlinks
        self._parts = Path(pattern).parts
        self._counted: set[str] = set()
        self.walked: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        """Yield the paths that match, each once; a folder before what it holds.

        Memory does not grow with their number, unless ``**`` stands there several times.
        """
        found = self._below("", self._parts)
        if self._parts.count(ANY_FOLDERS) > 1:
            return iter(sorted(set(found), key=lambda path: path.split("/")))
        return found

    def _below(self, folder: str, parts: Sequence[str]) -> Iterator[str]:
        first, *rest = parts
        if first == ANY_FOLDERS:
            for below in self._folders(folder) if rest else [folder]:
                yield from self._below(below, rest) if rest else [below]
            return
        for path in self._matching(folder, first):
            if not rest:
                yield path
            elif self._is_folder(path):
                yield from self._below(path, rest)

    def _folders(self, top: str) -> Iterator[str]:
        """Yield a folder and those below it; none twice, whatever links lead to it."""
        waiting, seen = [top], set()
        while waiting:
            folder = waiting.pop()
            if self._follow:
                status = os.stat(self._root / folder)
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            yield folder
            if folder in self.walked:
                continue
            waiting += [
                path
                for path in self._matching(folder, "*")
                if path not in self.walked and self._is_folder(path)
            ]

    def _matching(self, folder: str, part: str) -> list[str]:
        """Give what a folder holds that one part of the pattern matches; hidden ones by ``.``."""
        if not WILDCARDS & set(part):
            path = os.path.join(folder, part)
            return [path] if self._is_there(folder, part) and not self._is_own(path) else []
        fits, hidden = re.compile(translate(part)).match, part.startswith(".")
        paths = (
            os.path.join(folder, name)
            for name in self._names(folder)
            if fits(name) and (hidden or not name.startswith("."))
        )
        return [path for path in paths if not (self._is_own(path) or self._is_passed_by(path))]

    def _is_own(self, path: str) -> bool:
        own = self._is_left(path)
        if own and self._is_new(path):
            self._survey.others.add(path)
        return own

    def _is_passed_by(self, path: str) -> bool:
        """Tell a folder that no wildcard stands for, and count it."""
        where, known = self._root / path, known_folder(path.rpartition("/")[2])
        if not self._follow and where.is_symlink() and where.is_dir():
            if self._is_new(path):
                self._survey.links_left.add(path)
            return True
        if known and where.is_dir():
            if self._is_new(path):
                self._survey.skipped.setdefault(known.name, Skipped(known.what)).add_folder(where)
            return True
        return False

    def _is_folder(self, path: str) -> bool:
        return os.path.isdir(self._root / path)

    def _is_new(self, path: str) -> bool:
        """Tell whether a path is to be counted: several parts of a pattern may meet it."""
        new = path not in self._counted
        self._counted.add(path)
        return new

    def _names(self, folder: str) -> list[str]:
        try:
            return os.listdir(self._root / folder)
        except OSError as error:
            self._refused(folder, error)
            return []

    def _is_there(self, folder: str, name: str) -> bool:
        try:
            os.lstat(self._root / folder / name)
        except OSError as error:
            self._refused(folder, error)
            return False
        return True

    def _refused(self, folder: str, error: OSError) -> None:
        """Note a folder that cannot be read; raises what is the machine's."""
        if error.errno in ABOUT_NO_FILE:
            raise error
        if error.errno not in _ABSENT:
            self._survey.unreadable[encode_name(folder) or "."] = error.strerror or str(error)
