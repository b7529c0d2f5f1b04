"""Pillow: the fast lane where DALI has no wheel, and the second opinion of the slow lane."""

import io
import struct
import warnings
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, PngImagePlugin

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.colour_profile import UnusableProfile
from hambatch.pipelines.formats.opening import Opened, colours_beyond_palette, open_picture
from hambatch.pipelines.formats.stated import Unreadable
from hambatch.pipelines.header import read_header
from hambatch.pipelines.png_parts import lacking_rows
from hambatch.pipelines.srgb import foreign_profile, rgb_pixels
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.system.shortages import is_of_the_machine

Pixels = NDArray[np.uint8]
"""uint8 RGB ``[height, width, 3]``."""

MOST_TEXT = 16_000_000
"""Bytes that one compressed chunk of a PNG may have: Pillow's 1 MB is less than profiles of
printers and the editing history that Photoshop keeps. All texts together have Pillow's 67 MB."""

_REFUSALS = (OSError, ValueError, SyntaxError, EOFError)
"""What Pillow raises on purpose."""

_MISHAPS = (
    struct.error,
    zlib.error,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    Unreadable,
)
"""What escapes it where a tag, a chunk or a segment is not what it expects."""


class UndecodableImage(Exception):
    """Not an image, and no bug either: the message is the row's reason."""


IN_VAIN = (UndecodableImage, UnusableProfile)
"""What the functions of this module raise for a file."""


class PillowLane:
    """Decodes batches of files in threads: Pillow releases the GIL while decoding."""

    name = "pillow"
    own_pixels = False

    def __init__(self, threads: int, spec: InputSpec, how: Preprocessing) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pillow")
        self._spec, self._how = spec, how
        self._batches: deque[list[tuple[int, Future[Pixels]]]] = deque()

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a batch."""
        self._batches.append([(f.index, self._pool.submit(self._decode, f.content)) for f in files])

    def collect(self) -> tuple[NDArray[np.int64], Pixels]:
        """Wait for the oldest batch: indices ``[n]``, images ``[n, h, w, 3]`` uint8.

        Raises RuntimeError if a file of the batch cannot be decoded.
        """
        batch = self._batches.popleft()
        try:
            images = [future.result() for _, future in batch]
        except UndecodableImage as error:
            raise RuntimeError(str(error)) from error
        return np.array([index for index, _ in batch], np.int64), np.stack(images)

    def _decode(self, content: bytes) -> Pixels:
        pixels = decode(content, self._spec, self._how)
        if reason := lacking_rows(content):
            raise UndecodableImage(reason)
        return pixels

    def close(self) -> None:
        """Wait until nothing is being decoded; what is in flight is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def decode(
    content: bytes,
    spec: InputSpec,
    how: Preprocessing,
    limits: Limits = UNLIMITED,
    profile: bytes = b"",
) -> Pixels:
    """Decode one file to uint8 RGB ``[height, width, 3]``; of several frames the first.

    With the ICC ``profile`` of what is stored, the pixels are converted to sRGB before they are
    resized. Raises UnusableProfile if that is impossible.

    Raises UndecodableImage if Pillow cannot decode it, or it is of a format that is not decoded, or
    not within the limits.
    """
    return resize_linear(full_size(content, how, limits, profile), spec.height, spec.width)


def in_srgb(content: bytes, how: Preprocessing) -> bytes:
    """Give a file for decoders that ignore colour profiles: itself, or a PNG converted to sRGB.

    Raises UnusableProfile and UndecodableImage.
    """
    header = read_header(content)
    profile = foreign_profile(content) if header and header.coloured else b""
    if not profile:
        return content
    stream = io.BytesIO()
    pixels = full_size(content, how, UNLIMITED, profile)
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def full_size(
    content: bytes, how: Preprocessing, limits: Limits = UNLIMITED, profile: bytes = b""
) -> Pixels:
    """Decode one file as :func:`decode` does, and do not resize it."""
    # Our limits replace Pillow's, which a run could not raise.
    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = MOST_TEXT
    try:
        with warnings.catch_warnings():
            # A damaged tag is not a line on the terminal.
            warnings.simplefilter("ignore")
            opened = open_picture(content)
            with opened.image as image:
                # Opening reads the header only.
                if reason := limits.too_many_pixels(*image.size) or limits.wrong_shape(*image.size):
                    raise UndecodableImage(reason)
                return _upright_rgb(opened, content, how, profile)
    except (*_REFUSALS, *_MISHAPS) as error:
        if is_of_the_machine(error):
            # The bytes are in memory already: it lacks handles to load a module, or memory.
            raise
        kind = "" if isinstance(error, _REFUSALS) else f"{type(error).__name__}: "
        raise UndecodableImage(f"cannot be decoded: {kind}{_one_line(error)}") from error


@contextmanager
def tolerating_truncation() -> Iterator[None]:
    """Let Pillow fill what is missing of a file; a setting of the whole process."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _upright_rgb(opened: Opened, content: bytes, how: Preprocessing, profile: bytes) -> Pixels:
    opened.image.load()
    if reason := colours_beyond_palette(opened, content):
        raise UndecodableImage(reason)
    # Not `ImageOps.exif_transpose`: it writes all tags anew, fails at odd ones, and turns by XMP
    # where EXIF says nothing; DALI and most viewers do not.
    orientation = opened.orientation(how)
    return _turned(rgb_pixels(opened.image, profile), orientation)


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    """Give a view that is upright; a value that is no orientation of EXIF's turns nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def resize_linear(pixels: Pixels, height: int, width: int) -> Pixels:
    """Bilinear resize without antialias, half-pixel centres, edges clamped.

    The same definition as DALI's ``INTERP_LINEAR`` with ``antialias=False``
    and ``tf.image.resize``; equal to DALI's to one grey level.
    """
    top, bottom, down = _taps(pixels.shape[0], height)
    left, right, across = _taps(pixels.shape[1], width)
    # Rows first, floats then: as floats the whole image would take four times its memory.
    upper, lower = pixels[top].astype(np.float32), pixels[bottom].astype(np.float32)
    rows = upper * (1 - down)[:, None, None] + lower * down[:, None, None]
    mixed = rows[:, left] * (1 - across)[:, None] + rows[:, right] * across[:, None]
    # C order: fancy indexing leaves the columns outermost, and a batch of such images would
    # not be the dense array that backends share without a copy.
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8, order="C")


def _taps(
    source: int, target: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    centre = (np.arange(target) + 0.5) * (source / target) - 0.5
    lower = np.floor(centre)
    share = (centre - lower).astype(np.float32)
    first = np.clip(lower, 0, source - 1).astype(np.int64)
    second = np.clip(lower + 1, 0, source - 1).astype(np.int64)
    return first, second, share


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # Pillow names the in-memory stream by its address, which differs from run to run.
    return text.partition(" <_io.BytesIO")[0][:200]
