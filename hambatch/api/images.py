"""What a Scorer is given: sources as the command takes them, or images one by one."""

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.api.options import StrPath
from hambatch.api.pixels import MODES, png_of, png_of_image
from hambatch.errors import InputError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import sources_of
from hambatch.sources.entry import Cells
from hambatch.sources.folder import is_named_like_an_archive
from hambatch.sources.listing import list_sources
from hambatch.sources.manifest import SUFFIXES
from hambatch.sources.reading import Item, Limits
from hambatch.sources.reading_order import in_reading_order
from hambatch.sources.source import STDIN, Sources, path_of_word
from hambatch.system.text import FRAME, decode_name, excerpt

if TYPE_CHECKING:
    from PIL import Image

    GivenImage = StrPath | bytes | bytearray | memoryview | Image.Image | NDArray[np.uint8]
    """An image: the path of a file, the bytes of one, an image of Pillow, or pixels."""

    Given = GivenImage | tuple[str, GivenImage]
    """The same, or with the name that its row is to have."""

WANTED = (
    "a path, the bytes of a file, an image of Pillow, a uint8 array of height x width x 3, or a "
    "pair (name, image)"
)

PATHS = (str, os.PathLike)
BYTES = (bytes, bytearray, memoryview)


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image on its way: the name of its row, decoded, and where its bytes are."""

    name: str
    item: Item
    carried: Cells = ()


class Images(Protocol):
    """What a call of a Scorer scores.

    ``columns`` are the carried ones; they are known when the first image has been drawn.
    """

    columns: tuple[str, ...]

    def __iter__(self) -> Iterator[NamedImage]:
        """Yield the images, in the order of their reading; their indices are that of their rows."""
        ...


def images_of(given: tuple[Any, ...], options: ScoreOptions, limits: Limits) -> Images:
    """Tell what the arguments of a call are: all of them sources, or one iterable of images.

    Raises TypeError and ValueError for what is neither, and InputError for what cannot be scored
    as it is given. What is in a list is looked at now, what a generator yields when it is drawn.
    """
    if not given:
        raise TypeError("nothing to score; wanted sources, or an iterable of images")
    if all(isinstance(one, PATHS) for one in given):
        return SourceImages(given, options, limits)
    images = given[0]
    if len(given) > 1:
        other = next(one for one in given if not isinstance(one, PATHS))
        raise TypeError(
            f"several arguments are sources, and one of them is {_type(other)}; wanted paths "
            "alone, or one list of images"
        )
    is_one = isinstance(images, BYTES) or _is_pillow(images)
    if is_one or (_is_array_of_numbers(images) and images.ndim < 4):
        raise TypeError(f"{_type(images)} is one image; wanted a list of images: [image]")
    if isinstance(images, Mapping) or not isinstance(images, Iterable):
        raise TypeError(
            f"{_type(images)} is no iterable of images; wanted a list or a generator (of a dict: "
            "its .items()), or paths of sources"
        )
    if isinstance(images, list | tuple | np.ndarray):
        for number, one in enumerate(images):
            check_image(number, one)
    return GivenImages(images, limits)


def _is_array_of_numbers(given: Any) -> bool:
    """Tell pixels from an array of paths, such as a column of a DataFrame has."""
    return isinstance(given, np.ndarray) and given.dtype.kind not in "OUT"


class SourceImages:
    """Images of folders, archives and the like, listed and sorted as the command lists them."""

    def __init__(self, words: Sequence[StrPath], options: ScoreOptions, limits: Limits) -> None:
        if any(os.fspath(word) == STDIN for word in words):
            raise InputError(
                f"{STDIN!r} stands for standard input, which belongs to the program.\n"
                "Next: give the paths as a list"
            )
        self._sources: Sources = sources_of([path_of_word(word) for word in words], options)
        self._roots = self._sources.bounds(limits).roots
        self.columns: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[NamedImage]:
        """List the sources, then yield their images; raises as listing does."""
        sources = self._sources
        with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
            listing = list_sources(sources, Path(place) / "listing")
            self.columns = listing.columns
            nothing = (None,) * len(self.columns)
            for index, entry in in_reading_order(enumerate(listing.entries())):
                item = sources.item(index, entry)
                if self._roots and (root := self._roots[entry.source]):
                    item = replace(item, root=root)
                yield NamedImage(decode_name(entry.name), item, entry.carried or nothing)


class GivenImages:
    """Images as an iterable gives them; each is made ready when it is drawn."""

    columns: tuple[str, ...] = ()

    def __init__(self, images: Iterable[Any], limits: Limits) -> None:
        self._images, self._limits = images, limits

    def __iter__(self) -> Iterator[NamedImage]:
        """Yield them in their order; raises as :func:`check_image`, and what the iterable does."""
        for number, given in enumerate(self._images):
            yield self._named(number, given)

    def _named(self, number: int, given: Any) -> NamedImage:
        check_image(number, given)
        name, image = _parts(number, given)
        if isinstance(image, PATHS):
            return NamedImage(name, _item(number, os.path.abspath(os.fsdecode(image))))
        content, problem = self._content(image)
        return NamedImage(name, Item(number, Path(name), problem=problem, content=content))

    def _content(self, image: Any) -> tuple[bytes, str]:
        """Give the bytes of an image, and why it cannot be scored."""
        if isinstance(image, BYTES):
            # Those of a file have its limit; pixels have that of pixels alone.
            problem = self._limits.too_many_bytes(memoryview(image).nbytes)
            return (b"", problem) if problem else (bytes(image), "")
        if isinstance(image, np.ndarray):
            return png_of(image), ""
        if problem := self._limits.too_many_pixels(*image.size):
            return b"", problem
        try:
            return png_of_image(image), ""
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            # Its file is decoded only now, and may be damaged.
            return b"", f"cannot be decoded: {excerpt(' '.join(str(error).split()))}"


def _item(number: int, path: str) -> Item:
    """Give the item of a file, or of a frame of one by the name of its row."""
    found = FRAME.fullmatch(path)
    if found and not os.path.lexists(path):
        return Item(number, Path(found[1]), frame=int(found[2]))
    return Item(number, Path(path))


def check_image(number: int, given: Any) -> None:
    """Refuse what is no image that can be given, before anything is scored.

    Raises TypeError for another type, ValueError for an array or a mode of another form, and
    InputError for the path of what holds several images.
    """
    _, image = _parts(number, given)
    where = f"image {number}"
    if isinstance(image, PATHS):
        _check_path(where, os.fsdecode(image))
    elif isinstance(image, np.ndarray):
        is_form = image.ndim == 3 and image.shape[2] == 3 and image.size
        if image.dtype != np.uint8 or not is_form:
            shape = " x ".join(map(str, image.shape)) or "nothing"
            raise ValueError(
                f"{where} is an array of {image.dtype}, {shape}; wanted uint8, height x width x 3 "
                "(red, green, blue)"
            )
    elif _is_pillow(image):
        if image.mode not in MODES or not all(image.size):
            raise ValueError(
                f"{where} is an image of Pillow of the mode {image.mode} and the size "
                f"{image.size}; wanted one of {', '.join(MODES)} with pixels: image.convert('RGB')"
            )
    elif not isinstance(image, BYTES):
        _refuse_type(where, image)


def _parts(number: int, given: Any) -> tuple[str, Any]:
    """Tell name and image apart; one without a name is called by its path or its number."""
    if not isinstance(given, tuple):
        return (os.fsdecode(given) if isinstance(given, PATHS) else str(number)), given
    if len(given) != 2 or not isinstance(given[0], str):
        _refuse_type(f"image {number}", given)
    if not given[0]:
        raise ValueError(f"image {number} has an empty name; wanted one of a character at least")
    return given


def _check_path(where: str, path: str) -> None:
    kind = ""
    if os.path.isdir(path):
        kind = "a folder"
    elif is_named_like_an_archive(path):
        kind = "an archive"
    elif os.path.splitext(path)[1].lower() in SUFFIXES:
        kind = "a table"
    if kind:
        raise InputError(
            f"{where}, {excerpt(path)}, is {kind}; wanted an image: in a list everything gets one "
            "row.\nNext: give sources as arguments of their own: scorer.score('folder', 'old.zip')"
        )


def _refuse_type(where: str, found: Any) -> NoReturn:
    raise TypeError(f"{where} is {_type(found)}; wanted {WANTED}")


def _type(found: Any) -> str:
    if isinstance(found, tuple):
        return f"a tuple of {len(found)}"
    return f"of the type {type(found).__name__}"


def _is_pillow(found: Any) -> bool:
    # Whoever has such an image has imported Pillow.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(found, module.Image)
