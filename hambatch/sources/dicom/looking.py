"""Frames of DICOM files as images of their own: a child process reads the headers.

A file of one frame is one image, and keeps its name; of several, ``x.dcm!/frame-0001`` is the
first. No header is parsed in this process. A file whose header cannot be read stays one image:
scoring it says what is wrong.
"""

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hambatch.errors import InputError, MissingDependency, Shortage
from hambatch.sources.archives.member import Member
from hambatch.sources.content import HEAD_BYTES, SUFFIXES, image_format
from hambatch.sources.dicom.header import IDENTIFIERS, too_many_frames
from hambatch.sources.entry import Cells, Entry, frame_name
from hambatch.sources.source import Sources
from hambatch.system.files import open_regular
from hambatch.system.probe import AnsweringChild, ProbeFailed
from hambatch.system.schema import convert
from hambatch.system.shortages import OF_THE_MACHINE, killed_for_memory, shortage_at
from hambatch.system.text import FRAME, encode_name, loose_name

LOOK = "hambatch.sources.dicom.look"

SECONDS = 10.0
"""Time of the child for one header; most take a millisecond."""

SECONDS_TO_START = 120.0

OTHER_PICTURES = frozenset(
    ".webp .tif .tiff .bmp .dib .gif .jp2 .j2k .j2c .jpf .jpx .jxl .heic .heif .avif".split()
)
"""Suffixes of pictures beside JPEG and PNG."""


def may_be_dicom(name: str) -> bool:
    """Tell from a file's name whether its first bytes are worth a look."""
    return os.path.splitext(name)[1].lower() not in SUFFIXES | OTHER_PICTURES


def identifier_columns(sources: Sources, others: Iterable[str]) -> tuple[str, ...]:
    """Name the columns that ``--keep-ids`` adds to those of manifests; none without it.

    Raises InputError if a manifest has such a column, MissingDependency without pydicom.
    """
    if not sources.keep_ids:
        return ()
    if find_spec("pydicom") is None:
        raise MissingDependency(
            "--keep-ids needs the package 'pydicom', which is not installed.\n"
            "Next: pip install 'hambatch[dicom]'"
        )
    if taken := [name for name in others if loose_name(name) in IDENTIFIERS]:
        raise InputError(
            f"a manifest has the column {encode_name(taken[0])!r}, and --keep-ids adds one of this "
            "name from the headers of DICOM files; wanted each name once.\n"
            "Next: rename the manifest's column, or leave --keep-ids away"
        )
    return tuple(IDENTIFIERS)


def as_frame(entry: Entry, sources: Sources) -> Entry:
    """Let a name that no file has mean the frame that is called so: ``x.dcm!/frame-0002``."""
    found = FRAME.fullmatch(entry.name)
    if entry.problem or not found or os.path.lexists(sources.where(entry)):
        return entry
    return replace(entry, cut=len(found[1]), frame=int(found[2]))


class DicomLook:
    """Looks at the DICOM files among images, in a process that is started when the first is met.

    ``columns`` are all carried ones; those of :data:`IDENTIFIERS` come last, with ``keep_ids``.
    """

    def __init__(self, sources: Sources, columns: Cells) -> None:
        self._sources, self._columns = sources, columns
        self._can_look = find_spec("pydicom") is not None
        self._child: AnsweringChild | None = None

    def close(self) -> None:
        """End the process."""
        if self._child:
            self._child.close()
        self._child = None

    def images(self, found: Iterable[Entry]) -> Iterator[Entry]:
        """Yield images; for a DICOM file of several frames, one a frame.

        Raises Shortage if the machine could not read a file.
        """
        for entry in found:
            answer = self._looked(entry) if self._is_looked_at(entry) else None
            if answer is None:
                yield entry
            else:
                yield from self._frames(entry, answer)

    def _is_looked_at(self, entry: Entry) -> bool:
        if entry.problem or not self._can_look:
            return False
        if entry.frame and not self._sources.keep_ids:
            return False
        if not (self._sources.keep_ids or may_be_dicom(entry.name)):
            return False
        return bool(entry.member) or self._is_dicom(entry)

    def _is_dicom(self, entry: Entry) -> bool:
        """Look at a file's first bytes, and at where it really lies."""
        path = self._sources.where(entry)
        try:
            with open_regular(Path(path)) as stream:
                head = stream.read(HEAD_BYTES)
        except OSError as error:
            if error.errno in OF_THE_MACHINE:
                raise shortage_at(path, error, "listed") from error
            return False
        except ValueError:
            return False
        if image_format(head) != "dicom":
            return False
        root = None if self._sources.follow_symlinks else self._sources.parts[entry.source].root
        return root is None or os.path.realpath(path).startswith(os.path.join(root, ""))

    def _frames(self, entry: Entry, answer: "_Answer") -> Iterator[Entry]:
        if self._sources.keep_ids:
            entry = replace(entry, carried=self._carried(entry, answer.identifiers))
        if entry.frame or answer.frames <= 1 or not may_be_dicom(entry.name):
            # With identifiers or without, a name has the same rows.
            yield entry
        elif problem := too_many_frames(answer.frames, answer.size):
            yield replace(entry, problem=problem)
        else:
            cut = entry.cut or len(entry.name)
            for frame in range(1, answer.frames + 1):
                name = frame_name(entry.name, frame, answer.frames)
                yield replace(entry, name=name, cut=cut, frame=frame)

    def _carried(self, entry: Entry, identifiers: Iterable[str]) -> Cells:
        others = entry.carried or (None,) * len(self._columns)
        return (*others[: -len(IDENTIFIERS)], *(text or None for text in identifiers))

    def _looked(self, entry: Entry) -> "_Answer | None":
        """Ask for a header; None if it cannot be read, or is none of DICOM."""
        path = self._sources.where(entry)
        before = killed_for_memory()
        try:
            told = self._started(path).ask([path, _place(entry.member)], SECONDS)
        except ProbeFailed as failed:
            self.close()
            if failed.signal == signal.SIGKILL and killed_for_memory() > before:
                raise Shortage(
                    f"{path} cannot be listed: the system killed the process that read its header "
                    "for lack of memory.\n"
                    "Next: raise the memory limit or free memory, and run the same command again"
                ) from failed
            return None
        except OSError as error:
            raise shortage_at(path, error, "listed") from error
        if told and "errno" in told:
            number = told["errno"]
            raise shortage_at(path, OSError(number, os.strerror(number)), "listed")
        return _answer(told)

    def _started(self, path: str) -> AnsweringChild:
        """Give the child, which has answered that it can read headers."""
        if self._child is None:
            self._child = AnsweringChild(LOOK, "ids" if self._sources.keep_ids else "frames")
            try:
                self._child.ask(None, SECONDS_TO_START)
            except ProbeFailed as failed:
                raise InputError(
                    f"{path} is a DICOM file, and the process that is to read its header {failed}; "
                    "wanted an installed pydicom that works.\n"
                    "Next: pip install --force-reinstall 'hambatch[dicom]'"
                ) from failed
        return self._child


@dataclass(frozen=True)
class _Answer:
    frames: int
    size: int
    identifiers: tuple[str, ...]


def _answer(told: Any) -> _Answer | None:
    """Check an answer: the child has read what may attack its parser."""
    try:
        answer = convert(told, _Answer, exact=True)
    except ValueError:
        return None
    return answer if len(answer.identifiers) in (0, len(IDENTIFIERS)) else None


def _place(member: Member | None) -> list[int | None] | None:
    if member is None:
        return None
    numbers = member.offset, member.stored, member.size, member.head, member.crc32
    return [int(member.method), *numbers]
