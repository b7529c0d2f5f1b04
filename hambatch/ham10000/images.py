"""The image files of a download: where they lie, and what their bytes hash to."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple, NoReturn

from tqdm import tqdm

from hambatch.errors import InputError
from hambatch.sources.content import HEAD_BYTES, SUFFIXES, SUPPORTED, image_format
from hambatch.sources.skipped import known_folder
from hambatch.system.files import open_regular, sha256_of_file
from hambatch.system.text import canonical_id, excerpt, problem_with_cell


class ImageFile(NamedTuple):
    """A file relative to the dataset root, ``/`` separators, and its hash."""

    file: str
    sha256: str


HIDDEN = "whose name begins with a dot"
NO_IMAGE = "that are no images"


@dataclass
class Found:
    """The files below a download's folder, as relative paths with ``/`` separators, sorted.

    Attributes
    ----------
    images
        By image id, which is the file name without suffix in the form of
        :func:`~hambatch.system.text.canonical_id`; sorted.
    left_out
        All others, by the reason: an image format that is not read, or one of the above.
    """

    images: dict[str, list[str]]
    left_out: dict[str, list[str]]


def find_images(root: Path) -> Found:
    """List the files below ``root`` that `score` takes: JPEG and PNG, by content or by suffix.

    The Kaggle download holds every image twice, in ``HAM10000_images_part_1``
    and in ``ham10000_images_part_1``, so an id can have several files. Of these, one that is no
    image by its content is left out if another is. Links to folders are followed; the folders of
    :mod:`hambatch.sources.skipped` are passed over.

    Raises InputError if there is no image, a folder cannot be listed, or a path is not UTF-8.
    """
    images: dict[str, list[str]] = {}
    left_out: dict[str, list[str]] = {}
    formats: dict[str, str | None] = {}
    for path in _walk(root):
        name, found = path.relative_to(root).as_posix(), _format(path)
        if why := _reason(path, found):
            left_out.setdefault(why, []).append(name)
        else:
            formats[name] = found
            images.setdefault(canonical_id(path.stem), []).append(name)
    if not images:
        raise InputError(
            f"no images in {root}: found no JPEG or PNG file in it or below; wanted those of "
            "HAM10000_images_part_1 and HAM10000_images_part_2.\n"
            f"Next: unpack both archives into {root} and run this again"
        )
    for image_id, names in images.items():
        whole = [name for name in names if formats[name]]
        if whole and len(whole) < len(names):
            images[image_id] = whole
            left_out.setdefault(NO_IMAGE, []).extend(set(names) - set(whole))
    for name in (str(root.resolve()), *chain.from_iterable(images.values())):
        _check_utf8(name)
    return Found(_sorted(images), _sorted(left_out))


def _sorted(names: dict[str, list[str]]) -> dict[str, list[str]]:
    return {key: sorted(names[key]) for key in sorted(names)}


def _reason(path: Path, found: str | None) -> str:
    """Say why a file is left out; empty if it is an image."""
    if path.name.startswith("."):
        return HIDDEN
    if found in SUPPORTED:
        return ""
    if found:
        return f"in the format {found}, which is not read"
    return "" if path.suffix.lower() in SUFFIXES else NO_IMAGE


def _format(path: Path) -> str | None:
    """Name the image format of the content; None also for what is not a file or unreadable."""
    try:
        with open_regular(path) as stream:
            return image_format(stream.read(HEAD_BYTES))
    except OSError:
        return None


def _walk(root: Path) -> Iterator[Path]:
    """Yield all files below ``root``; a folder reached twice over links is read once."""
    read = set()
    for folder, inner, names in os.walk(root, onerror=_cannot_read, followlinks=True):
        real = os.path.realpath(folder)
        if real in read:
            inner.clear()
            continue
        read.add(real)
        # As in scoring: thumbnails and deleted files are no images of the data set.
        inner[:] = sorted(name for name in inner if not known_folder(name))
        yield from (Path(folder, name) for name in names)


def _check_utf8(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the path {os.fsencode(path)!r} is not valid UTF-8; "
            "wanted one that a text table can hold.\n"
            "Next: rename it and run this again"
        ) from error


def hash_images(root: Path, found: dict[str, list[str]]) -> dict[str, ImageFile]:
    """Hash every file; of several identical files for one image the first is kept.

    Raises InputError if a file cannot be read, files of one image differ, or its path would be a
    formula in the split table.
    """
    images = {}
    for image_id, files in tqdm(found.items(), desc="hashing", unit=" images", disable=None):
        try:
            hashes = [sha256_of_file(root / file) for file in files]
        except OSError as error:
            _cannot_read(error)
        if len(set(hashes)) > 1:
            raise InputError(
                f"{image_id} has {len(files)} files with different bytes in {root}: "
                f"{', '.join(files)}; wanted one version of each image.\n"
                "Next: remove the version that you do not want and run this again"
            )
        _refuse_formula(files[0])
        images[image_id] = ImageFile(files[0], hashes[0])
    return images


def _refuse_formula(path: str) -> None:
    if problem := problem_with_cell(path):
        raise InputError(
            f"the path {excerpt(repr(path))} has {problem}, wanted one that a split table can hold "
            "as it stands.\nNext: rename it and run this again"
        )


def _cannot_read(error: OSError) -> NoReturn:
    raise InputError(
        f"cannot read {error.filename}: {error.strerror}; wanted a readable file or folder.\n"
        "Next: correct its permissions, or copy it again, and run this again"
    ) from error
