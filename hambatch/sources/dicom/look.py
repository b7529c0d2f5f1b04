"""The look at DICOM headers, in a process of its own: pydicom parses what others made.

:mod:`hambatch.sources.dicom.looking` starts it and asks. A request is ``[path, member]``, the
member as ``[method, offset, stored, size, head, crc32]`` or null; the first request is ``null``,
and its answer says that pydicom can be used. An answer is ``null`` for what is
no DICOM file or cannot be read, ``{"errno": NUMBER}`` for an error of the machine, else
``{"frames": NUMBER, "size": BYTES, "identifiers": [...]}``.
"""

import io
import logging
import resource
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from hambatch.sources.archives.member import Member, Method, Unreadable
from hambatch.sources.archives.plain_reading import head_of
from hambatch.sources.archives.reading import Archives
from hambatch.sources.archives.windows import Window
from hambatch.sources.content import HEAD_BYTES, image_format
from hambatch.sources.dicom.header import MALFORMED, read_header, size_of
from hambatch.system.files import open_regular
from hambatch.system.probe import answer_requests, show_life
from hambatch.system.shortages import OF_THE_MACHINE

MEMBER_AT_MOST = 1 << 28
"""Bytes of a member that is looked at: it is read whole."""

MEMORY = 1 << 30
"""Bytes that this process may take beyond those that it starts with."""

Request = tuple[str, list[int | None] | None]


def main() -> None:
    """Answer requests; with the argument ``ids``, with the identifiers of each header."""
    with_ids = sys.argv[1] == "ids"
    # What pydicom says of a header may hold its values.
    warnings.simplefilter("ignore")
    logging.disable()
    import pydicom

    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    _limit_memory()
    answer_requests(partial(_answer, archives=Archives(), with_ids=with_ids))


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _answer(request: Request | None, archives: Archives, with_ids: bool) -> dict[str, Any] | None:
    if request is None:
        return None
    path, place = Path(request[0]), request[1]
    try:
        with _opened(path, _member(place) if place else None, archives) as stream:
            if stream is None or image_format(stream.read(HEAD_BYTES)) != "dicom":
                return None
            size = size_of(stream)
            header = read_header(stream, with_ids=with_ids)
    except Unreadable:
        return None
    except MALFORMED as error:
        number = error.errno if isinstance(error, OSError) else None
        return {"errno": number} if number in OF_THE_MACHINE else None
    return {"frames": header.frames, "size": size, "identifiers": header.identifiers}


def _member(place: list[int | None]) -> Member:
    method, *numbers = place
    return Member(Method(method), *numbers)  # type: ignore[arg-type]


@contextmanager
def _opened(path: Path, member: Member | None, archives: Archives) -> Iterator[BinaryIO | None]:
    """Open a file, or a member that may be DICOM; None for any other member."""
    if member is None:
        with open_regular(path) as stream:
            yield stream
    elif member.size > MEMBER_AT_MOST or not _may_be_dicom(path, member):
        yield None
    else:
        yield io.BytesIO(archives.read(path, member, MEMBER_AT_MOST, show_life))


def _may_be_dicom(path: Path, member: Member) -> bool:
    """Look at a member's first bytes, if these can be read alone."""
    if member.method == Method.STREAMED_TAR:
        return True
    with open_regular(path) as stream:
        window = Window(stream.fileno(), 0, size_of(stream))
        if member.method == Method.TAR:
            head = window.read_at(member.offset, min(member.size, HEAD_BYTES))
        else:
            head = head_of(window, member)
    return image_format(head) == "dicom"
