"""Pillow, with the one decoder that a file's content asks for; only in a process that may crash.

HEIC is decoded by libheif, through pillow-heif, which is called without making it one of Pillow's
decoders: those of other formats stay as they are.
"""

import importlib
import io
import struct
from collections.abc import Mapping
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from hambatch.engines.manifest import Preprocessing
from hambatch.pipelines.formats import bmp, gif, heif, tiff
from hambatch.pipelines.formats.stated import Unreadable
from hambatch.pipelines.formats.table import FORMATS
from hambatch.pipelines.orientation import exif_of, orientation_of
from hambatch.sources.content import kind_of
from hambatch.system.packages import require

USUAL = ("JPEG", "PNG")

PILLOW, LIBHEIF = "pillow", "pillow-heif"
"""Who decodes, as a row says it."""

_PLUGINS: Mapping[str, tuple[str, str, str]] = {
    "bmp": ("Bmp", "BMP", ""),
    "gif": ("Gif", "GIF", ""),
    "tiff": ("Tiff", "TIFF", "libtiff"),
    "webp": ("WebP", "WEBP", "webp"),
    "jpeg2000": ("Jpeg2K", "JPEG2000", "jpg_2000"),
    "avif": ("Avif", "AVIF", "avif"),
}
"""Pillow's module, its name of the format, and the library that it has to be built with."""


class Opened(NamedTuple):
    """A picture whose pixels are not decoded yet; those of a HEIC are, and upright.

    ``kind`` is the one that is decoded; ``stated`` the orientation of a TIFF.
    """

    image: Image.Image
    kind: str
    stated: int = 1

    def orientation(self, how: Preprocessing) -> int:
        """Give how the decoded pixels are turned, as EXIF numbers it: 1 is upright."""
        if self.kind == "avif":
            # What Pillow calls EXIF here is how the format itself turns the picture.
            return orientation_of(exif_of(self.image.info))
        if self.kind == "heic" or not how.exif_orientation:
            return 1
        return self.stated if self.kind == "tiff" else orientation_of(exif_of(self.image.info))


def open_picture(content: bytes) -> Opened:
    """Open a file with the decoder of its format, JPEG or PNG if it has none of the others.

    Raises what Pillow raises; a HEIC is decoded at once.
    """
    kind = decoded_as(content)
    if kind == "heic":
        return Opened(_by_libheif(content), kind)
    if kind not in _PLUGINS:
        return Opened(Image.open(io.BytesIO(content), formats=USUAL), kind)
    module, name, _ = _PLUGINS[kind]
    plugin = importlib.import_module(f"PIL.{module}ImagePlugin")
    if kind == "avif":
        # One thread, as everywhere: others of the run decode at the same time.
        setattr(plugin, "DEFAULT_MAX_THREADS", 1)  # noqa: B010
    if kind != "tiff":
        return Opened(Image.open(io.BytesIO(content), formats=(name,)), kind)
    image = Image.open(io.BytesIO(tiff.turned_as_stored(content)), formats=(name,))
    # Pillow turns by XMP where no tag says anything; DALI and most viewers do not.
    image.info.pop("xmp", None)
    return Opened(image, kind, tiff.stated(content).orientation)


def decoded_as(content: bytes) -> str:
    """Name the kind of a file by its content; of HEIF by the coding of its picture."""
    kind = kind_of(content)
    if kind in ("heif", "heic", "avif"):
        try:
            return "avif" if heif.read(content).coding == heif.AV1 else "heic"
        except (Unreadable, IndexError, struct.error) as error:
            raise SyntaxError(str(error)) from error
    return kind


def decoder_of(content: bytes) -> str:
    """Name who decodes a file, as its row does."""
    return LIBHEIF if decoded_as(content) == "heic" else PILLOW


def missing_decoder(content: bytes) -> str:
    """Say that the decoder of a file is not installed, and how to install it; empty if it is."""
    kind = decoded_as(content)
    if kind == "heic":
        if find_spec("pillow_heif"):
            return ""
        return "no decoder for HEIC is installed (pip install 'hambatch[heif]')"
    library = _PLUGINS.get(kind, ("", "", ""))[2]
    if not library or features.check(library):
        return ""
    name = FORMATS[kind].name
    return f"no decoder for {name} is installed (pip install --force-reinstall pillow)"


def _by_libheif(content: bytes) -> Image.Image:
    pillow_heif = require("pillow_heif", extra="heif", purpose="decoding HEIC")
    pillow_heif.options.DECODE_THREADS = 1
    image: Image.Image = pillow_heif.open_heif(io.BytesIO(content)).to_pillow()
    # Alpha is dropped, so the colours must not be multiplied with it.
    return image.convert("RGBA") if image.mode == "RGBa" else image


def colours_beyond_palette(opened: Opened, content: bytes) -> str:
    """Say that pixels have colours that the palette does not hold; the image has to be loaded."""
    if opened.kind == "gif":
        colours = gif.colours_of(content)
    elif opened.kind == "bmp":
        colours = bmp.colours_of(content)
    else:
        return ""
    # An index that no palette holds is left at its own value, or is an index still.
    if not colours or opened.image.mode not in ("P", "L"):
        return ""
    used = int(np.asarray(opened.image).max()) + 1
    if used <= colours:
        return ""
    return f"incomplete: the palette has {colours} colours, the pixels need {used}"
