"""A folder of images: what is in it, in the one order that every run uses."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hambatch.errors import InputError
from hambatch.names import encode_name
from hambatch.sources.content import HEAD_BYTES, image_format, named_like_an_image


@dataclass
class Listing:
    """What a folder holds.

    Attributes
    ----------
    root
        The folder; ``names`` are relative to it, with ``/`` between parts and
        surrogate escapes for undecodable bytes.
    names
        Files that get a row: images by content, and files named like one.
        Sorted by the name as written in the output.
    others
        Files that are no images, by content and by name; they get no row.
    unreadable
        Folders that could not be entered, each with the reason: what they hold
        is unknown.
    links_left
        Symbolic links to folders that were not followed.
    """

    root: Path
    names: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    links_left: list[str] = field(default_factory=list)


def list_images(root: Path, *, follow_symlinks: bool = False) -> Listing:
    """List a folder recursively; each real folder is entered once.

    A symbolic link to a file is listed like a file. One to a folder is
    followed only if asked for, and never into a folder that was already seen.

    Raises
    ------
    InputError
        If ``root`` is missing, no folder, or holds no image.
    """
    if not root.is_dir():
        found = "is a file" if root.exists() else "does not exist"
        raise InputError(f"{root} {found}, wanted a folder of images.\nNext: name an image folder")
    listing = Listing(root)
    for name in _files(listing, follow_symlinks):
        is_image = named_like_an_image(name) or _has_image_content(root / name)
        (listing.names if is_image else listing.others).append(name)
    if not listing.names:
        raise InputError(_nothing_found(listing))
    listing.names.sort(key=encode_name)
    listing.others.sort()
    return listing


def _files(listing: Listing, follow_symlinks: bool) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        folder = listing.root / prefix
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            listing.unreadable[prefix or "."] = error.strerror or str(error)
            continue
        for entry in entries:
            name = f"{prefix}/{entry.name}" if prefix else entry.name
            if not _is_folder(entry):
                yield name
            elif follow_symlinks or not entry.is_symlink():
                waiting.append(name)
            else:
                listing.links_left.append(name)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself, say: it is listed like a file, and reading it says what is wrong.
        return False


def _has_image_content(path: Path) -> bool:
    # Opening a FIFO or a device could block or have effects: regular files only.
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return image_format(stream.read(HEAD_BYTES)) is not None
    except OSError:
        return False


def _nothing_found(listing: Listing) -> str:
    seen = [f"{len(listing.others)} other files"] if listing.others else []
    if listing.unreadable:
        seen.append(f"unreadable folders: {', '.join(sorted(listing.unreadable)[:5])}")
    if listing.links_left:
        seen.append(f"{len(listing.links_left)} linked folders, not followed")
    held = "; ".join(seen) or "it is empty"
    return (
        f"no JPEG or PNG image in {listing.root} ({held}).\n"
        "Next: name a folder of images, or try: hambatch samples ./samples"
    )
