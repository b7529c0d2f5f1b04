"""Which members an archive has: a child process walks it, so that no parser runs in this one."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hambatch.errors import Shortage
from hambatch.sources.archives.inflating import is_compressed
from hambatch.sources.archives.member import Found, Member, Method
from hambatch.sources.archives.tar_walk import is_header
from hambatch.sources.archives.windows import Window
from hambatch.sources.archives.zip_walk import is_zip
from hambatch.sources.content import HEAD_BYTES, image_format
from hambatch.sources.folder import Survey
from hambatch.system.files import open_regular
from hambatch.system.probe import ProbeFailed, stream_probe
from hambatch.system.schema import convert
from hambatch.system.shortages import OF_THE_MACHINE, killed_for_memory, shortage_at

WALK = "hambatch.sources.archives.walk"


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may ask for.

    ``max_ratio``: how many bytes a stored byte may inflate to, in a member, in all members
    together, and in a compressed tar; 0 for no limit.
    """

    max_ratio: float


def walk_archive(
    path: Path, survey: Survey, limits: ArchiveLimits, *, nested: bool, prefix: str = ""
) -> Iterator[Found]:
    """Yield the members that get a row, in the archive's order.

    A last one without a name says what is wrong with the archive itself, if anything is. What gets
    no row is counted in ``survey`` at the end, with ``prefix`` (encoded) before its names.
    ``nested``: archives that lie stored in the archive are walked, too, one level deep; else they
    are counted. Raises Shortage if the machine could not read it.
    """
    before = killed_for_memory()
    try:
        for told in stream_probe(
            WALK, str(path), repr(limits.max_ratio), "nested" if nested else "flat"
        ):
            if isinstance(told, list):
                yield from map(_found, told)
            elif "errno" in told:
                yield from _refused(path, told["errno"])
            else:
                survey.join(convert(told["survey"], Survey, exact=True), prefix)
    except ProbeFailed as failed:
        if failed.signal == signal.SIGKILL and killed_for_memory() > before:
            raise Shortage(
                f"{path} cannot be listed: the system killed the process for lack of memory.\n"
                "Next: raise the memory limit or free memory, and run the same command again"
            ) from failed
        yield Found("", None, f"archive cannot be walked: the reader {failed}")
    except OSError as error:
        raise shortage_at(path, error, "listed") from error


def kind_of_archive(path: Path) -> str | None:
    """Tell a zip, a tar and a compressed tar by the file's first and last bytes; None: no archive.

    Any file that is compressed by a known program counts as a compressed tar; the walk tells.
    """
    try:
        with open_regular(path) as stream:
            window = Window(stream.fileno(), 0, os.fstat(stream.fileno()).st_size)
            head = window.read_at(0, HEAD_BYTES)
            if image_format(head):
                return None
            if is_compressed(head):
                return "compressed tar"
            if is_header(head):
                return "tar"
            return "zip" if is_zip(window) else None
    except OSError:
        return None


def _found(row: list[Any]) -> Found:
    if len(row) == 2:
        return Found(row[0], None, row[1])
    name, method, *numbers = row
    return Found(name, Member(Method(method), *numbers))


def _refused(path: Path, number: int | None) -> Iterator[Found]:
    if number is None:
        raise shortage_at(path, MemoryError(), "listed")
    error = OSError(number, os.strerror(number))
    if number in OF_THE_MACHINE:
        raise shortage_at(path, error, "listed")
    yield Found("", None, f"archive cannot be read: {error.strerror}")
