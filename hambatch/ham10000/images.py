"""The image files of a download: where they lie, and what their bytes hash to."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple, NoReturn

from tqdm import tqdm

from hambatch.errors import InputError
from hambatch.sources.skipped import known_folder
from hambatch.system.files import sha256_of_file


class ImageFile(NamedTuple):
    """A file relative to the dataset root, ``/`` separators, and its hash."""

    file: str
    sha256: str


def find_images(root: Path) -> dict[str, list[str]]:
    """List the JPEGs below ``root`` by image id, which is the file name without suffix.

    The Kaggle download holds every image twice, in ``HAM10000_images_part_1``
    and in ``ham10000_images_part_1``, so an id can have several files. Links
    to folders are followed; names that begin with a dot are passed over, and so are the folders of
    :mod:`hambatch.sources.skipped`.

    Returns
    -------
    Relative paths with ``/`` separators, sorted, by image id, sorted.

    Raises InputError if there is no image, a folder cannot be listed, or a path is not UTF-8.
    """
    found: dict[str, list[str]] = {}
    for path in _walk(root):
        if path.suffix.lower() == ".jpg" and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path.relative_to(root).as_posix())
    if not found:
        raise InputError(
            f"no images in {root}: found no .jpg file in it or below; wanted those of "
            "HAM10000_images_part_1 and HAM10000_images_part_2.\n"
            f"Next: unpack both archives into {root} and run this again"
        )
    for name in (str(root.resolve()), *chain.from_iterable(found.values())):
        _check_utf8(name)
    return {image_id: sorted(found[image_id]) for image_id in sorted(found)}


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

    Raises InputError if a file cannot be read, or files of one image differ.
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
        images[image_id] = ImageFile(files[0], hashes[0])
    return images


def _cannot_read(error: OSError) -> NoReturn:
    raise InputError(
        f"cannot read {error.filename}: {error.strerror}; wanted a readable file or folder.\n"
        "Next: correct its permissions, or copy it again, and run this again"
    ) from error
