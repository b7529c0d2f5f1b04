"""A folder of images: which of its files get a row."""

import os
import shlex
import sqlite3
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from hambatch.errors import InputError
from hambatch.sources.content import HEAD_BYTES, image_format
from hambatch.sources.skipped import Skipped, describe_skipped, known_file, known_folder
from hambatch.system.files import ABOUT_NO_FILE, open_regular
from hambatch.system.locks import MARK
from hambatch.system.text import encode_name, plural

_NO_IMAGE = frozenset(
    # text, tables, documents, configuration
    ".txt .md .rst .csv .tsv .tab .json .jsonl .ndjson .xml .yaml .yml .html .htm .css .js .log"
    " .ini .inf .cfg .conf .toml .pdf .doc .docx .odt .rtf .xls .xlsx .ods .ppt .pptx .url .lnk"
    # programs, data, weights
    " .jar .app .py .pyc .ipynb .r .sh .bat .exe .dll .so .db .index .sqlite .sqlite3"
    " .parquet .npy .npz .h5 .hdf5 .pkl .pt .pth .onnx .mat"
    # what WebDataset puts beside an image: classes, numbers, texts, arrays
    " .cls .cls2 .class .count .index .inx .id .text .transcript .jsn .pyd .pickle .ten .tb .mp"
    " .msg .msgpack .cbor"
    # what editors, telephones and cameras write beside an image
    " .xmp .aae .thm .dop .pp3 .on1 .arp .acr .vrd .dr4 .nksc .cos .cof .cot .cop .comask .exv"
    # archives, sums, sound, film
    " .zip .tar .gz .tgz .bz2 .tbz2 .xz .txz .zst .tzst .7z .rar .md5 .sha1 .sha256"
    " .wav .mp3 .mp4 .avi .mov".split()
)

_ARCHIVES = (
    *(".zip", ".tar", ".tgz", ".tzst", ".tbz2", ".txz"),
    *(".tar.gz", ".tar.zst", ".tar.bz2", ".tar.xz"),
)

_NAMES = frozenset(
    "readme licence license copying makefile thumbs.db desktop.ini"
    # beside the DICOM files that a PACS writes on a disc
    " dicomdir version lockfile md5sums".split()
)

NAMED_AT_MOST = 20
"""Names that are kept of the files without a row; the count is always complete."""

CACHE_KIB = 1000
"""Memory that folders to enter may take, in KiB."""

JOURNAL_SUFFIX, JOURNAL_MARK = ".journal", "lock"
"""What the folder of a journal is called, and the file by which it is known."""

DRAWN_PREFIX = "hambatch-"
"""How a folder in a journal begins that holds sentinels which hambatch has drawn."""

_IN_JOURNALS = frozenset(
    {JOURNAL_MARK, "listing", "listing.now", "rows", "stats", "before", "table.tmp", "record.tmp"}
    | {"0.tmp", "1.tmp"}
)
"""Files that a run keeps there; others of its files are named unlike an image anyway."""


@dataclass
class LeftOut:
    """How many, and the first few by name: memory does not grow with the folder.

    Names are percent-encoded, as in the output.
    """

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count one more, and keep its name if it is among the first."""
        self.count += 1
        insort(self.names, encode_name(name))
        del self.names[NAMED_AT_MOST:]

    def join(self, other: "LeftOut", prefix: str = "") -> None:
        """Count what another one counted; ``prefix``, encoded, is put before its names."""
        self.count += other.count
        self.names = sorted([*self.names, *(f"{prefix}{name}" for name in other.names)])
        del self.names[NAMED_AT_MOST:]


@dataclass
class Survey:
    """What a folder holds beside its images.

    Attributes
    ----------
    others
        Files that are no images, by name and by content; they get no row.
    unreadable
        Folders that could not be entered, each with the reason: what they hold
        is unknown.
    links_left
        Symbolic links to folders that were not followed.
    skipped
        Thumbnails, deleted files and the like, by the name of their folder
        (:mod:`hambatch.sources.skipped`); they get no row.
    archives
        Zips and tars that were not looked into.
    """

    others: LeftOut = field(default_factory=LeftOut)
    unreadable: dict[str, str] = field(default_factory=dict)
    links_left: LeftOut = field(default_factory=LeftOut)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    archives: LeftOut = field(default_factory=LeftOut)

    def join(self, other: "Survey", prefix: str = "") -> None:
        """Count what another survey counted; ``prefix``, encoded, is put before its names."""
        self.others.join(other.others, prefix)
        self.links_left.join(other.links_left, prefix)
        self.archives.join(other.archives, prefix)
        self.unreadable |= {f"{prefix}{name}": why for name, why in other.unreadable.items()}
        for name, found in other.skipped.items():
            self.skipped.setdefault(name, Skipped(found.what)).join(found)


def find_images(
    root: Path,
    survey: Survey,
    *,
    follow_symlinks: bool = False,
    leave: Iterable[Path] = (),
    archives: bool = False,
) -> Iterator[str]:
    """Yield every file that gets a row, in no order; each real folder is entered once.

    Names are relative to ``root``, with ``/`` between parts and surrogate escapes for
    undecodable bytes. A symbolic link to a folder is followed only with ``follow_symlinks``,
    and never into a folder that was already seen. What is in ``leave``, such as the table itself
    and the run's own journal, gets no row and is counted; nor do thumbnails and deleted files,
    unless ``root`` itself is their folder. A zip or tar, by its name, is yielded with ``archives``,
    and else counted. Raises InputError if ``root`` is no folder.
    """
    _refuse_no_folder(root)
    is_left = left_below(root, leave)
    for name in _files(root, survey, follow_symlinks, is_left):
        left_out = survey.others if is_left(name) else _left_out(root, name, survey, archives)
        if left_out is None:
            yield name
        else:
            left_out.add(name)


def _left_out(root: Path, name: str, survey: Survey, archives: bool) -> "LeftOut | Skipped | None":
    """Give what counts a file that gets no row; None for one that gets a row."""
    last = name.rpartition("/")[2]
    if known := known_file(last):
        return survey.skipped.setdefault(known.name, Skipped(known.what))
    if DRAWN_PREFIX in name and _is_drawn_sentinel(root / name):
        return survey.others
    if is_named_like_an_archive(name):
        return None if archives or _has_image_content(root / name) else survey.archives
    is_own = last in _IN_JOURNALS and _is_of_a_journal(root / name)
    if is_own or is_named_unlike_an_image(name):
        return None if _has_image_content(root / name) else survey.others
    return None


def left_below(root: Path, leave: Iterable[Path]) -> Callable[[str], bool]:
    """Give a function that tells whether a path below ``root`` is one of ``leave``."""
    left = {os.path.realpath(path) for path in leave}
    names_left = {os.path.basename(path) for path in left}

    def is_left(name: str) -> bool:
        # By its last part first: to resolve every name would cost more than to list it.
        last = name.rpartition("/")[2]
        return last in names_left and os.path.realpath(root / name) in left

    return is_left


def _refuse_no_folder(root: Path) -> None:
    if root.is_dir():
        return
    found, step = "does not exist", "name a folder that exists"
    if root.exists():
        found, step = "is a file", f"name its folder: {shlex.quote(str(root.parent))}"
    raise InputError(f"{root} {found}, wanted a folder of images.\nNext: {step}")


class _Folders:
    """Folders to enter, and those that were seen; SQLite spills both to the disk.

    An archive may have a folder for each patient: kept in memory, 60,000 take 12 MB.
    """

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            base.execute(f"PRAGMA {setting}")
        base.execute("CREATE TABLE waiting (number INTEGER PRIMARY KEY, name BLOB)")
        base.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self.add([""])

    def add(self, names: Iterable[str]) -> None:
        """Put folders on the stack."""
        rows = ((os.fsencode(name),) for name in names)
        self._base.executemany("INSERT INTO waiting (name) VALUES (?)", rows)

    def __iter__(self) -> Iterator[str]:
        """Take the folder that was added last, until there is none."""
        last = "DELETE FROM waiting WHERE number = (SELECT max(number) FROM waiting) RETURNING name"
        while found := self._base.execute(last).fetchall():
            yield os.fsdecode(found[0][0])

    def is_new(self, status: os.stat_result) -> bool:
        """Tell whether a folder is met for the first time, and remember it."""
        row = (f"{status.st_dev} {status.st_ino}",)
        return self._base.execute("INSERT OR IGNORE INTO seen VALUES (?)", row).rowcount == 1


def _files(
    root: Path, survey: Survey, follow_symlinks: bool, is_left: Callable[[str], bool]
) -> Iterator[str]:
    """Yield what is no folder; a folder that is left is counted instead."""
    # An empty name: a file of SQLite's own, in the folder for temporary files, once it is large.
    with closing(sqlite3.connect("")) as base:
        folders = _Folders(base)
        for prefix in folders:
            # Text, not a Path: that one keeps every part for a while.
            folder = os.path.join(root, prefix) if prefix else str(root)
            if prefix and (known := known_folder(prefix.rpartition("/")[2])):
                survey.skipped.setdefault(known.name, Skipped(known.what)).add_folder(Path(folder))
                continue
            try:
                if not folders.is_new(os.stat(folder)):
                    continue
                for name, is_folder in _entries(folder, prefix, survey, follow_symlinks):
                    if not is_folder:
                        yield name
                    elif is_left(name):
                        survey.others.add(name)
                    else:
                        folders.add([name])
            except OSError as error:
                if error.errno in ABOUT_NO_FILE:
                    raise  # of the machine, not of this folder
                survey.unreadable[encode_name(prefix) or "."] = error.strerror or str(error)


def _entries(
    folder: str, prefix: str, survey: Survey, follow_symlinks: bool
) -> Iterator[tuple[str, bool]]:
    """Yield what a folder holds by name, and whether it is a folder to enter."""
    with os.scandir(folder) as scan:
        for entry in scan:
            name = f"{prefix}/{entry.name}" if prefix else entry.name
            is_folder = _is_folder(entry)
            if is_folder and entry.is_symlink() and not follow_symlinks:
                survey.links_left.add(name)
            else:
                yield name, is_folder


def _is_of_a_journal(path: Path) -> bool:
    """Tell a file of another run's journal by its name and its folder's; its content counts too."""
    if path.name not in _IN_JOURNALS or path.parent.suffix != JOURNAL_SUFFIX:
        return False
    try:
        mark = path.with_name(JOURNAL_MARK)
        if not mark.is_file():
            return False
        with open_regular(mark) as stream:
            return stream.read(len(MARK)) == MARK
    except OSError:
        return False


def _is_drawn_sentinel(path: Path) -> bool:
    """Tell a sentinel in the journal of another run, by its place and by every byte of it.

    It is no image of the archive; what a kill left half-written is none either.
    """
    journal = path.parent.parent
    if not path.parent.name.startswith(DRAWN_PREFIX) or journal.suffix != JOURNAL_SUFFIX:
        return False
    from hambatch.engines.synthetic import drawn_sentinels

    try:
        with open_regular(path) as stream:
            content = stream.read(max(map(len, drawn_sentinels())) + 1)
    except OSError:
        return False
    return bool(content) and any(drawn.startswith(content) for drawn in drawn_sentinels())


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, say: it is listed like a file, and reading it says what is wrong.
        return False


def is_named_like_an_archive(name: str) -> bool:
    """Tell a zip or a tar by its name, hidden ones left out."""
    return name.lower().endswith(_ARCHIVES) and not name.rpartition("/")[2].startswith(".")


def is_named_unlike_an_image(name: str) -> bool:
    """Tell a file that gets a row only if its content is that of an image."""
    # Hidden files count: file managers leave them beside every image.
    lowered = name.rpartition("/")[2].lower()
    if lowered.startswith(".") or lowered in _NAMES:
        return True
    _, dot, suffix = lowered.rpartition(".")
    return bool(dot) and f".{suffix}" in _NO_IMAGE


def _has_image_content(path: Path) -> bool:
    # Opening a FIFO or a device could block or have effects: regular files only.
    try:
        with open_regular(path) as stream:
            return image_format(stream.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def nothing_found(root: Path, survey: Survey) -> InputError:
    """Say what a folder without images holds instead."""
    seen = [f"{survey.others.count} other files"] if survey.others.count else []
    seen += [f"not scored: {line}" for line in describe_skipped(survey.skipped)]
    if survey.unreadable:
        seen.append(f"unreadable folders: {', '.join(sorted(survey.unreadable)[:5])}")
    if survey.archives.count:
        seen.append(f"{plural(survey.archives.count, 'archive')}, scored with --archives")
    if survey.links_left.count:
        seen.append(f"{survey.links_left.count} linked folders, not followed")
    held = "; ".join(seen) or "it is empty"
    return InputError(
        f"no image in {root} ({held}).\n"
        "Next: name a folder of images, or try: hambatch samples ./samples"
    )
