"""The elements of a DICOM file that describe its pixels, as stored.

Only in a process that may crash. The values of all other elements are passed over, so that no name
of a patient is ever among what a message could quote.
"""

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from hambatch.errors import HambatchError, MissingDependency
from hambatch.pipelines.dicom.syntaxes import DEFLATED, EXPLICIT, EXPLICIT_BIG, IMPLICIT, NATIVE
from hambatch.pipelines.pillow_lane import IN_VAIN, UndecodableImage
from hambatch.sources.reading import Limits
from hambatch.system.packages import require
from hambatch.system.shortages import is_of_the_machine

SAMPLES, PHOTOMETRIC, PLANAR = 0x00280002, 0x00280004, 0x00280006
FRAMES, ROWS, COLUMNS = 0x00280008, 0x00280010, 0x00280011
ALLOCATED, STORED, HIGH, SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103
DESCRIPTORS = (0x00281101, 0x00281102, 0x00281103)
TABLES, SEGMENTED = (0x00281201, 0x00281202, 0x00281203), (0x00281221, 0x00281222, 0x00281223)
PROFILE, SPACE, OPTICAL_PATHS = 0x00282000, 0x00282002, 0x00480105
OFFSETS, LENGTHS, PIXELS = 0x7FE00001, 0x7FE00002, 0x7FE00010
_FLOATS = (0x7FE00008, 0x7FE00009)
_SYNTAX = 0x00020010

_WANTED = frozenset(
    {SAMPLES, PHOTOMETRIC, PLANAR, FRAMES, ROWS, COLUMNS, ALLOCATED, STORED, HIGH, SIGNED}
    | {*DESCRIPTORS, *TABLES, *SEGMENTED, PROFILE, SPACE, OPTICAL_PATHS}
    | {OFFSETS, LENGTHS, *_FLOATS, PIXELS}
)

_NAMES = {
    SAMPLES: "samples per pixel",
    PLANAR: "a planar configuration",
    ROWS: "rows",
    COLUMNS: "columns",
    ALLOCATED: "bits allocated",
    STORED: "bits stored",
    HIGH: "a high bit",
    SIGNED: "a pixel representation",
}

_PREAMBLE, _UNDEFINED = 132, 0xFFFFFFFF
_DELIMITER = 8
"""Bytes behind a value without a length."""

_MISHAPS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    zlib.error,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)
"""What pydicom and its decoders raise for what they cannot read, with values of it in the text."""


@contextmanager
def refusing(reason: str) -> Iterator[None]:
    """Run pydicom without a word of it: what it raises for a file becomes this reason.

    MemoryError, and what else is the machine's, stays what it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except _MISHAPS as error:
        if is_of_the_machine(error):
            raise
        raise UndecodableImage(reason) from None
    except (MemoryError, HambatchError, *IN_VAIN):
        raise
    except Exception as error:
        # A bug has to be seen, and ends the worker: its last words must not quote a header.
        raise _UnknownMishap(f"pydicom failed with {type(error).__name__}") from None


class _UnknownMishap(Exception):
    """An error of pydicom's of a kind that it was not known to raise."""


def check_installed() -> None:
    """Raise UndecodableImage without pydicom; silence it where it is installed."""
    try:
        require("pydicom", extra="dicom", purpose="DICOM")
    except MissingDependency:
        raise UndecodableImage("DICOM needs pydicom: pip install 'hambatch[dicom]'") from None
    for name in ("pydicom", "pylibjpeg", "openjpeg"):
        # Their messages quote what they read.
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class _Place(NamedTuple):
    """Where an element of the data set stands: its tag, its value's first byte and its length."""

    tag: int
    start: int
    length: int


def read_elements(content: bytes, limits: Limits) -> "Elements":
    """Read the file meta information and the data set of a DICOM file."""
    from pydicom.filereader import read_dataset

    stream = io.BytesIO(content)
    stream.seek(_PREAMBLE if content[128:_PREAMBLE] == b"DICM" else 0)
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, *_: tag >> 16 != 2,
        specific_tags=[_SYNTAX],
    )
    syntax = _text(meta, _SYNTAX)
    if syntax == DEFLATED:
        stream = io.BytesIO(_inflated(content[stream.tell() :], limits))
    syntax = syntax or _guessed(stream.getvalue()[stream.tell() :][:6])
    places: list[_Place] = []

    def note(tag: int, _: str | None, length: int) -> bool:
        places.append(_Place(int(tag), stream.tell(), length))
        return False

    found = read_dataset(
        stream,
        is_implicit_VR=syntax == IMPLICIT,
        is_little_endian=syntax != EXPLICIT_BIG,
        stop_when=note,
        specific_tags=list(_WANTED),
    )
    return Elements(syntax, syntax != EXPLICIT_BIG, found, places, len(stream.getvalue()))


def _guessed(start: bytes) -> str:
    """Guess the syntax of a file that does not say it from its first element, as pydicom does."""
    group, kind = int.from_bytes(start[:2], "little"), start[4:6]
    if not (kind.isalpha() and kind.isupper()):
        return IMPLICIT
    return EXPLICIT_BIG if group >= 0x0400 else EXPLICIT


def _inflated(deflated: bytes, limits: Limits) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    found = inflate.decompress(deflated, min(limits.max_bytes, 1 << 62) + 1)
    if reason := limits.too_many_bytes(len(found)):
        raise UndecodableImage(reason.replace("too large: ", "DICOM too large, inflated: "))
    if not inflate.eof:
        raise UndecodableImage("incomplete: the end of the deflated DICOM is absent")
    return found


@dataclass(frozen=True)
class Elements:
    """The wanted elements of a data set.

    Every method raises UndecodableImage where an element is not what it has to be.

    Attributes
    ----------
    syntax
        UID of the transfer syntax.
    found
        pydicom's data set; only raw values are taken from it.
    places
        Where all elements stand, wanted or not.
    size
        Bytes of the data set and what is before it.
    """

    syntax: str
    little_endian: bool
    found: Any
    places: list[_Place]
    size: int

    def has(self, tag: int) -> bool:
        """Tell whether there is such an element."""
        return tag in self.found

    def check_order(self) -> None:
        """Refuse a data set in which an element that counts stands twice, or too late.

        The standard wants tags to ascend. Where one that is damaged lets those of a thumbnail come
        out of the sequence that holds it, they would overwrite those of the image.
        """
        tags = [place.tag for place in self.places if place.tag in _WANTED]
        if any(one >= other for one, other in pairwise(tags)):
            raise UndecodableImage("damaged: the elements of the DICOM are not in order")

    def pixels(self) -> bytes:
        """Give the value of Pixel Data, which has to be whole."""
        own = next((k for k, place in enumerate(self.places) if place.tag == PIXELS), None)
        if own is None:
            if any(tag in self.found for tag in _FLOATS):
                raise UndecodableImage("DICOM of floating-point numbers is not supported")
            raise UndecodableImage("DICOM without pixels")
        _, start, length = self.places[own]
        native = length != _UNDEFINED
        if PIXELS not in self.found or (native and start + length > self.size):
            raise UndecodableImage("incomplete: the DICOM ends within its pixels")
        if native != (self.syntax in NATIVE):
            raise UndecodableImage("damaged: the DICOM is not in the transfer syntax that it says")
        found = self.value(PIXELS)
        if native:
            self._check_end(own)
        elif start + len(found) + _DELIMITER > self.size:
            raise UndecodableImage("incomplete: the DICOM ends within its pixels")
        return found

    def _check_end(self, own: int) -> None:
        """Refuse pixels that lack bytes where padding behind them makes up for it."""
        rest = self.places[own:]
        ordered = all(one.tag < other.tag for one, other in pairwise(rest))
        _, start, length = rest[-1]
        if not ordered or (length != _UNDEFINED and start + length != self.size):
            raise UndecodableImage("damaged: behind the pixels of the DICOM is no element")

    def pixel_vr(self) -> str:
        """Give ``OB`` or ``OW``: it matters for bytes in a big-endian file."""
        return "OB" if self.found.get_item(PIXELS).VR == "OB" else "OW"

    def number(self, tag: int, absent: int | None = None) -> int:
        """Read an unsigned number of 16 bits; ``absent`` is what it is without the element."""
        value = self.value(tag)
        if not value and absent is not None:
            return absent
        if len(value) != 2:
            raise UndecodableImage(f"damaged: DICOM without {_NAMES[tag]} that can be read")
        return int.from_bytes(value, "little" if self.little_endian else "big")

    def text(self, tag: int) -> str:
        """Read a text of ASCII; empty without the element."""
        return _text(self.found, tag)

    def value(self, tag: int) -> bytes:
        """Give the bytes of a value; empty without the element."""
        found = self.found.get_item(tag).value if tag in self.found else b""
        if not isinstance(found, bytes | None):
            raise UndecodableImage("damaged: an element of the DICOM is of the wrong kind")
        return found or b""

    def profiles(self) -> set[bytes]:
        """Give the ICC profile of the image, or else those of its optical paths."""
        if PROFILE in self.found:
            return {self.value(PROFILE)}
        paths = self.found[OPTICAL_PATHS].value if OPTICAL_PATHS in self.found else []
        return {bytes(one.get_item(PROFILE).value or b"") for one in paths if PROFILE in one}


def _text(found: Any, tag: int) -> str:
    value = found.get_item(tag).value if tag in found else b""
    return value.decode("ascii", "replace").strip(" \0") if isinstance(value, bytes) else ""
