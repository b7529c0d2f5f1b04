"""What programs leave beside images: thumbnails, deleted files, snapshots. None of it is scored.

Only names that a NAS, a system or a photo program makes itself stand here, and that nobody gives
an archive: ``Thumbs`` or ``Trash`` may be a patient's folder.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hambatch.system.text import plural

THUMBNAILS, DELETED, VERSIONS = "thumbnails", "deleted files", "earlier versions"
SNAPSHOTS, RECOVERED = "snapshots", "pieces of files that a disk check found"
SYSTEM = "files of a system or program"

_EXACT = {
    # Synology, QNAP, Linux and Android, xv and GIMP, elFinder
    **dict.fromkeys("@eaDir .@__thumb .thumbnails .sh_thumbnails .xvpics".split(), THUMBNAILS),
    ".tmb": THUMBNAILS,
    # Linux; Synology, QNAP, Samba, Unraid, Nextcloud; digiKam, Dropbox, Android
    **dict.fromkeys(".Trash #recycle @Recycle .recycle .Recycle.Bin".split(), DELETED),
    **dict.fromkeys("files_trashbin .dtrash .dropbox.cache .globalTrash".split(), DELETED),
    "lost+found": RECOVERED,
    # Syncthing, Resilio, Nextcloud
    **dict.fromkeys(".stversions .sync files_versions".split(), VERSIONS),
    # Synology, QNAP; NetApp, btrfs, ZFS
    **dict.fromkeys("#snapshot @Recently-Snapshot".split(), SNAPSHOTS),
    **dict.fromkeys(".snapshot ~snapshot .snapshots .zfs".split(), SNAPSHOTS),
    # Synology, QNAP, Google Drive; version control, notebooks
    **dict.fromkeys("@tmp @sharebin .@upload_cache".split(), SYSTEM),
    **dict.fromkeys(".tmp.drivedownload .tmp.driveupload".split(), SYSTEM),
    **dict.fromkeys(".git .svn .hg .bzr .ipynb_checkpoints".split(), SYSTEM),
}

_ANY_CASE = {
    # Windows and macOS do not tell upper from lower case: copies of their disks have either.
    **dict.fromkeys("$recycle.bin recycler .trashes".split(), DELETED),
    "network trash folder": DELETED,
    "ipod photo cache": THUMBNAILS,
    **dict.fromkeys(".picasaoriginals .documentrevisions-v100".split(), VERSIONS),
    **dict.fromkeys("__macosx .appledouble .appledesktop .appledb".split(), SYSTEM),
    **dict.fromkeys(".spotlight-v100 .fseventsd .temporaryitems".split(), SYSTEM),
    **dict.fromkeys("_vti_cnf _vti_pvt".split(), SYSTEM),
    "system volume information": SYSTEM,
}


class Known(NamedTuple):
    """The ``name`` under which it is counted (empty: its own), and ``what`` it is."""

    name: str
    what: str


_FOLDER_PATTERNS = (
    (re.compile(r"\.Trash-[0-9]+"), Known("", DELETED)),
    (re.compile(r"found\.[0-9]{3}", re.IGNORECASE), Known("", RECOVERED)),  # chkdsk
    # Lightroom's previews
    (re.compile(r".+\.lrdata", re.IGNORECASE | re.DOTALL), Known("*.lrdata", THUMBNAILS)),
)

_FILE_PATTERNS = (
    (re.compile(r"\.trashed-[0-9]+-.+", re.DOTALL), Known(".trashed-*", DELETED)),  # Android
    # NFS and FUSE rename what is deleted while a program has it open.
    (re.compile(r"\.nfs[0-9a-f]{16,}"), Known(".nfs*", DELETED)),
    (re.compile(r"\.fuse_hidden[0-9a-f]{16,}"), Known(".fuse_hidden*", DELETED)),
)


@dataclass
class Skipped:
    """How much was left out under a name.

    Attributes
    ----------
    what
        Which kind of thing it is, in a word or two.
    folders
        How many folders of that name were met.
    files
        How many files they hold, at any depth; or how many files have such a name.
    not_counted
        Folders that were not looked into: each snapshot holds the archive once more, and some
        folders cannot be read.
    """

    what: str
    folders: int = 0
    files: int = 0
    not_counted: int = 0

    def add(self, _: str) -> None:
        """Count a file."""
        self.files += 1

    def add_folder(self, folder: Path) -> None:
        """Count a folder, and the files in it unless it holds snapshots."""
        self.folders += 1
        if self.what == SNAPSHOTS:
            self.not_counted += 1
            return
        unread: list[OSError] = []
        self.files += sum(len(names) for _, _, names in os.walk(folder, onerror=unread.append))
        self.not_counted += bool(unread)

    def join(self, other: "Skipped") -> None:
        """Count what was counted elsewhere under the same name."""
        self.folders += other.folders
        self.files += other.files
        self.not_counted += other.not_counted


def known_folder(name: str) -> Known | None:
    """Recognise a folder by its name; None for one that may hold an archive."""
    if what := _EXACT.get(name) or _ANY_CASE.get(name.lower()):
        return Known(name, what)
    for pattern, known in _FOLDER_PATTERNS:
        if pattern.fullmatch(name):
            return Known(known.name or name, known.what)
    return None


def known_file(name: str) -> Known | None:
    """Recognise a deleted file by its name; None for any other."""
    if not name.startswith("."):
        return None
    return next((known for pattern, known in _FILE_PATTERNS if pattern.fullmatch(name)), None)


def describe_skipped(skipped: Mapping[str, Skipped]) -> list[str]:
    """Say in a line for each name what was left out, by name."""
    return [f"{name} ({found.what}): {_amount(found)}" for name, found in sorted(skipped.items())]


def _amount(found: Skipped) -> str:
    if not found.folders:
        return plural(found.files, "file")
    folders = plural(found.folders, "folder")
    if found.not_counted == found.folders:
        return f"{folders}, files not counted"
    rest = f", {found.not_counted} of them not counted in full" if found.not_counted else ""
    return f"{plural(found.files, 'file')} in {folders}{rest}"
