"""What the listing wants to know of a DICOM file's header: its frames, and its identifiers.

No value of a header is written anywhere but in the answer of :func:`read_header`.
"""

import hashlib
import io
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from hambatch.sources.reading import OTHER_IDENTIFIERS

IDENTIFIERS: dict[str, str] = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_id": "StudyID",
    "accession_number": "AccessionNumber",
    "referring_physician_name": "ReferringPhysicianName",
    "study_instance_uid": "StudyInstanceUID",
    "series_instance_uid": "SeriesInstanceUID",
    "sop_class_uid": "SOPClassUID",
    "sop_instance_uid": "SOPInstanceUID",
}
"""The columns that ``--keep-ids`` carries, and DICOM's keyword of each."""

MOST_FRAMES = 10_000
"""Rows that one file may have."""

BYTES_OF_A_FRAME = 16
"""Of a file, at least: an honest frame has more, however well it is compressed."""

MOST_INFLATED = 1 << 26
"""Bytes of a deflated data set that are inflated: the header stands before the pixels."""

LONGEST = 1024
"""Characters of an identifier: DICOM allows 64, and 324 for a name in three scripts."""

LONGEST_NUMBER = 12
"""Digits of a number of frames: what DICOM allows."""

MALFORMED = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError),
    *(EOFError, MemoryError, OSError, struct.error, zlib.error),
)
"""What pydicom raises at damaged headers."""

_FRAMES = 0x00280008

_LONGEST_READ = 1 << 16
"""Bytes of a value: longer ones are passed over."""


@dataclass(frozen=True)
class Header:
    """What the header of a DICOM file says.

    Attributes
    ----------
    frames
        How many frames it has; 1 where it does not say so, or says what is no number.
    identifiers
        The values of :data:`IDENTIFIERS`, in their order; empty where there is none.
    """

    frames: int
    identifiers: tuple[str, ...]


def too_many_frames(frames: int, size: int) -> str:
    """Give the reason to refuse a file of ``size`` bytes that claims so many, or an empty text."""
    most = min(MOST_FRAMES, max(1, size // BYTES_OF_A_FRAME))
    if frames <= most:
        return ""
    return f"too many frames: the header says {frames}, the limit for {size} bytes is {most}"


def read_header(stream: BinaryIO, *, with_ids: bool) -> Header:
    """Read the header of a DICOM file that is open at its beginning.

    ``with_ids`` False: no identifier is read. Raises one of :data:`MALFORMED` at a damaged file,
    with a message that may hold anything of the header: never show it.
    """
    from pydicom.datadict import tag_for_keyword

    keywords = IDENTIFIERS.values() if with_ids else ()
    tags = [tag_for_keyword(keyword) or 0 for keyword in keywords]
    order = _Order(tags)
    found = _dataset(stream, [_FRAMES, *tags], order)
    # Values that were not converted yet; None for one that was passed over.
    raw = {int(element.tag): element.value for element in found.elements()}
    known = {tag for tag in tags if raw.get(tag) is not None and not order.is_broken}
    texts = (_text(found, tag) if tag in known else "" for tag in tags)
    return Header(_frames(raw.get(_FRAMES)), tuple(texts))


class _Order:
    """Whether identifiers stand in ascending order, each once, as the standard wants it.

    Where a sequence is damaged, what it holds comes out of it: the number of another patient, of an
    earlier study. Then none of the identifiers is known.
    """

    def __init__(self, tags: Iterable[int]) -> None:
        self._tags, self._last = frozenset(tags), 0
        self.is_broken = False

    def is_behind(self, tag: int, vr: str | None, length: int) -> bool:
        """Note an element; tell whether it stands behind all that are wanted."""
        self.is_broken |= tag in self._tags and tag <= self._last
        self._last = max(self._last, tag)
        return tag > _FRAMES


def _dataset(stream: BinaryIO, tags: list[int], order: _Order) -> Any:
    from pydicom.filereader import read_dataset, read_partial, read_preamble
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    def is_no_meta(tag: int, vr: str | None, length: int) -> bool:
        return tag >> 16 != 2

    how: Any = {"stop_when": order.is_behind, "defer_size": _LONGEST_READ, "specific_tags": tags}
    read_preamble(stream, True)
    meta = read_dataset(stream, False, True, stop_when=is_no_meta, defer_size=_LONGEST_READ)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        stream.seek(0)
        return read_partial(stream, force=True, **how)
    # pydicom would inflate all of it.
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = io.BytesIO(inflating.decompress(stream.read(MOST_INFLATED), MOST_INFLATED))
    return read_dataset(inflated, False, True, **how)


def _frames(value: Any) -> int:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else ""
    text = text.strip(" \0")
    # Digits alone: int() takes more, and thousands of them take long.
    return int(text) if text.isdigit() and len(text) <= LONGEST_NUMBER else 1


def _text(found: Any, tag: int) -> str:
    """Give a value as text; nothing for what is no text, is too long, or cannot be read."""
    try:
        text = "\\".join(_parts(found[tag].value))
    except MALFORMED:
        return ""
    return "" if len(text) > LONGEST else text.encode("utf-8", "replace").decode()


def _parts(value: Any) -> Iterator[str]:
    from pydicom.multival import MultiValue
    from pydicom.valuerep import PersonName

    if isinstance(value, str | PersonName):
        yield str(value).strip(" \0")
    elif isinstance(value, MultiValue):
        yield from (str(one).strip(" \0") for one in value)


@contextmanager
def unvalidated() -> Iterator[None]:
    """Let pydicom take values as they are, whatever the standard says of them."""
    from pydicom import config

    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    try:
        yield
    finally:
        config.settings.reading_validation_mode = before


def digest_of(identifiers: Iterable[str | None]) -> str:
    """Give one text for the values of :data:`IDENTIFIERS`; empty if the header has none of them."""
    values = [value or "" for value in identifiers]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest() if any(values) else ""


def carried_with(
    reason: str, carried: tuple[str | None, ...], count: int
) -> tuple[str | None, ...]:
    """Give the ``count`` cells that a row of that reason carries.

    None of the identifiers if they are those of another file than its sha256.
    """
    cells = carried or (None,) * count
    if reason != OTHER_IDENTIFIERS:
        return cells
    return (*cells[: -len(IDENTIFIERS)], *(None,) * len(IDENTIFIERS))


def size_of(stream: BinaryIO) -> int:
    """Give how many bytes an open file has, and leave it at its beginning."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size
