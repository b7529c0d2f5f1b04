"""What the command line names as SOURCE: folders, files, globs, archives, manifests, stdin."""

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hambatch.errors import InputError
from hambatch.sources.archives.walking import kind_of_archive
from hambatch.sources.content import HEAD_BYTES, is_text
from hambatch.sources.dicom.header import IDENTIFIERS, digest_of
from hambatch.sources.entry import Entry
from hambatch.sources.folder import is_named_like_an_archive, is_named_unlike_an_image
from hambatch.sources.globbing import WILDCARDS
from hambatch.sources.manifest import SUFFIXES
from hambatch.sources.options import MAX_RATIO
from hambatch.sources.reading import Bounds, Item, Limits
from hambatch.system.files import open_regular, refusing, without_links
from hambatch.system.text import decode_name, encode_name

STDIN = "-"

_SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
"""Most are zips, whose parts are no images of anybody."""


class Kind(StrEnum):
    """What a source is."""

    FOLDER = "folder"
    FILE = "file"
    GLOB = "glob"
    ARCHIVE = "archive"
    MANIFEST = "manifest"
    STDIN = "stdin"


@dataclass(frozen=True)
class Source:
    """One word of the command line.

    Attributes
    ----------
    path
        Without symbolic links. Of a glob: the folder that it begins with; of stdin: the current
        one.
    label
        What its names begin with; empty where the only source is a folder, a glob, a manifest or
        stdin.
    pattern
        Of a glob: what follows ``path``.
    """

    kind: Kind
    path: Path
    label: str = ""
    pattern: str = ""

    @property
    def folder(self) -> Path:
        """What the paths of its images begin with."""
        return self.path if self.kind in (Kind.FOLDER, Kind.GLOB, Kind.STDIN) else self.path.parent

    @property
    def root(self) -> Path | None:
        """Below which its files really have to lie; None where each path was named by somebody."""
        if self.kind in (Kind.MANIFEST, Kind.STDIN):
            return None
        return Path(os.path.realpath(self.folder))

    @property
    def word(self) -> Path:
        """As a command line names it; absolute, and without symbolic links."""
        last = {Kind.GLOB: self.pattern, Kind.STDIN: STDIN}.get(self.kind)
        real = Path(os.path.realpath(self.path))
        return real / last if last else real

    @property
    def named(self) -> str:
        """As messages and records name it: encoded, and absolute."""
        return encode_name(str(self.word))

    def name_of(self, path: str) -> str:
        """Name an image of its by the path below its folder; encoded."""
        return encode_name(f"{self.label}/{path}" if self.label else path)

    def path_in(self, name: str) -> str:
        """Undo :meth:`name_of`."""
        path = decode_name(name)
        return path[len(self.label) + 1 :] if self.label else path


@dataclass(frozen=True)
class Sources:
    """All that a command line names, and how it is looked through.

    ``archives``: archives inside are scored too; ``follow_symlinks``: links out of a source are
    followed; ``null``: paths on stdin end with NUL instead of a line end; ``max_ratio``: an archive
    that inflates further is not read; ``keep_ids``: identifiers of DICOM files are carried.
    """

    parts: tuple[Source, ...]
    archives: bool = False
    follow_symlinks: bool = False
    null: bool = False
    max_ratio: float = MAX_RATIO
    keep_ids: bool = False

    @property
    def only_folder(self) -> Path | None:
        """The folder, if that is all."""
        first, *others = self.parts
        return None if others or first.kind is not Kind.FOLDER else first.path

    @property
    def named(self) -> str:
        """As messages name them, encoded."""
        return ", ".join(part.named for part in self.parts)

    @property
    def quoted(self) -> str:
        """As a shell takes them."""
        return shlex.join(str(part.word) for part in self.parts)

    @property
    def recorded(self) -> str | list[str]:
        """As records name them: a text for one, a list for several."""
        first, *others = [part.named for part in self.parts]
        return [first, *others] if others else first

    @property
    def can_be_listed_again(self) -> bool:
        """Whether a second look finds what a first one found: stdin is read once."""
        return all(part.kind is not Kind.STDIN for part in self.parts)

    @property
    def are_paths(self) -> bool:
        """Whether a name alone says where its bytes lie, and all that a row carries."""
        return self.only_folder is not None and not (self.archives or self.keep_ids)

    @property
    def alone(self) -> bool:
        """Whether names are paths, and no line of a listing needs a place for that."""
        first, *others = self.parts
        return not (others or first.label)

    def path_of(self, entry: Entry) -> Path:
        """Give the file, or the archive, that an image lies in."""
        return Path(self.where(entry))

    def where(self, entry: Entry) -> str:
        """Give the same path as text: for a look at every file, that is faster."""
        source = self.parts[entry.source]
        if source.kind in (Kind.FILE, Kind.ARCHIVE):
            return str(source.path)
        named = entry.name[: entry.cut] if entry.cut else entry.name
        return os.path.join(source.folder, entry.path or source.path_in(named))

    def item(self, index: int, entry: Entry) -> Item:
        """Give what a reader needs to fetch an image."""
        return Item(
            index,
            self.path_of(entry),
            source=entry.source,
            member=entry.member,
            problem=entry.problem,
            sha256=entry.sha256,
            frame=entry.frame,
            identified=digest_of(entry.carried[-len(IDENTIFIERS) :]) if self.keep_ids else "",
        )

    def bounds(self, limits: Limits) -> Bounds:
        """Say which files may be read."""
        roots = () if self.follow_symlinks else tuple(part.root for part in self.parts)
        return Bounds(roots, limits)


def path_of_word(word: str | os.PathLike[str]) -> Path:
    """Give the path of a word that names a source.

    Raises InputError for an empty word, which :class:`~pathlib.Path` takes for the current folder.
    """
    if not os.fspath(word):
        raise InputError(
            "a SOURCE is an empty text, wanted a folder, an image, an archive or a manifest.\n"
            "Next: see whether a variable is unset; the current folder is ."
        )
    return Path(word)


def find_sources(
    words: Sequence[Path],
    *,
    archives: bool = False,
    follow_symlinks: bool = False,
    null: bool = False,
    max_ratio: float = MAX_RATIO,
    keep_ids: bool = False,
) -> Sources:
    """Tell what each word of the command line is.

    A path that exists is itself; else one with wildcards is a glob. Several sources get labels:
    the last part of each path, with a number where several have the same.
    Raises InputError for what is not there, and for stdin named twice.
    """
    found = [_found(word) for word in words]
    if sum(part.kind is Kind.STDIN for part in found) > 1:
        raise InputError(f"{STDIN} stands there twice, wanted once.\nNext: remove one of them")
    labelled = tuple(_labelled(found)) if len(found) > 1 else (_by_itself(found[0]),)
    return Sources(labelled, archives, follow_symlinks, null, max_ratio, keep_ids)


def folder_of_images(root: Path, *, follow_symlinks: bool = False) -> Sources:
    """Give one folder as the sources of a run."""
    part = Source(Kind.FOLDER, without_links(root))
    return Sources((part,), follow_symlinks=follow_symlinks)


def _found(word: Path) -> Source:
    text = str(word)
    if text == STDIN:
        return Source(Kind.STDIN, Path(os.path.realpath(".")))
    try:
        if not word.exists():
            return _globbed(word)
    except OSError as error:
        raise InputError(f"{text} cannot be read: {error.strerror}.\nNext: name another") from error
    path = without_links(word)
    if path.is_dir():
        return Source(Kind.FOLDER, path)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return Source(Kind.MANIFEST, path)
    if path.suffix.lower() in _SPREADSHEETS:
        raise InputError(
            f"{path} is a spreadsheet, wanted a folder, an image, an archive or a manifest "
            f"({', '.join(SUFFIXES)}).\n"
            "Next: save the sheet as CSV UTF-8, with the paths of the images in a column `image`"
        )
    # A tar that lost its beginning is an archive, too.
    if kind_of_archive(path) or is_named_like_an_archive(path.name):
        return Source(Kind.ARCHIVE, path)
    _refuse_text(path)
    return Source(Kind.FILE, path)


def _refuse_text(path: Path) -> None:
    """Raise InputError for what is likely a list of paths; a damaged image is a failed row."""
    if is_named_unlike_an_image(path.name) and path.is_file():
        with refusing(path), open_regular(path) as stream:
            head = stream.read(HEAD_BYTES)
        if is_text(head):
            raise InputError(
                f"{path} is text, wanted a folder, an image, an archive or a manifest "
                f"({', '.join(SUFFIXES)}).\n"
                f"Next: if it is a list of paths: hambatch score - --out preds.csv < "
                f"{shlex.quote(str(path))}"
            )


def _globbed(word: Path) -> Source:
    if not WILDCARDS & set(str(word)):
        raise InputError(
            f"{word} does not exist, wanted a folder, an image, an archive or a manifest.\n"
            "Next: name one that exists"
        )
    parts = word.parts
    first = next(k for k, part in enumerate(parts) if WILDCARDS & set(part))
    folder = Path(*parts[:first])
    if not folder.is_dir():
        raise InputError(
            f"{folder} does not exist, wanted the folder that {word} begins with.\n"
            "Next: name one that exists"
        )
    return Source(Kind.GLOB, without_links(folder), pattern=os.path.join(*parts[first:]))


def _by_itself(source: Source) -> Source:
    if source.kind in (Kind.FILE, Kind.ARCHIVE):
        return Source(source.kind, source.path, source.path.name)
    return source


def _labelled(found: Sequence[Source]) -> Iterator[Source]:
    taken: set[str] = set()
    met: Counter[str] = Counter()
    for part in found:
        label = wanted = "stdin" if part.kind is Kind.STDIN else part.path.name or "root"
        while label in taken:
            met[wanted] += 1
            label = f"{wanted}#{met[wanted] + 1}"
        taken.add(label)
        yield Source(part.kind, part.path, label, part.pattern)
