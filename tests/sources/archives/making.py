"""Small archives for tests, and what hambatch finds in them."""

import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from hambatch.sources.archives.member import Found, Unreadable
from hambatch.sources.archives.reading import Archives
from hambatch.sources.archives.walk import rows_of
from hambatch.sources.archives.walking import ArchiveLimits, walk_archive
from hambatch.sources.archives.windows import Window
from hambatch.sources.folder import Survey

Named = Iterable[tuple[str, bytes]]


class OneWay(io.RawIOBase):
    """A stream that cannot seek: zipfile then writes sizes behind the bytes."""

    def __init__(self) -> None:
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self.content += bytes(content)
        return len(content)


def zip_of(named: Named, method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.comment = comment
        for name, content in named:
            archive.writestr(name, content)
    return stream.getvalue()


def tar_of(named: Named, tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tar_format) as archive:
        for name, content in named:
            archive.addfile(info(name, size=len(content)), io.BytesIO(content))
    return stream.getvalue()


def info(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def walked(
    path: Path,
    survey: Survey | None = None,
    *,
    max_ratio: float = 1000,
    nested: bool = False,
) -> list[Found]:
    counted = Survey() if survey is None else survey
    return list(walk_archive(path, counted, ArchiveLimits(max_ratio), nested=nested))


def walked_here(path: Path, *, nested: bool = False, max_ratio: float = 1000) -> list[Found]:
    """Walk in this process, as the child does: a start of Python for each would take long."""
    with path.open("rb") as stream:
        window = Window(stream.fileno(), 0, path.stat().st_size)
        return list(rows_of(window, Survey(), max_ratio, nested=nested))


def read(path: Path, found: Iterable[Found]) -> dict[str, bytes | str]:
    """Give the bytes of each member, or why there are none."""
    archives = Archives()
    content: dict[str, bytes | str] = {}
    for one in found:
        try:
            member = one.member
            content[one.name] = archives.read(path, member, 10**9) if member else one.problem
        except Unreadable as error:
            content[one.name] = str(error)
    archives.close()
    return content


def scored(path: Path, **options: bool) -> dict[str, bytes | str]:
    """Walk in this process and read all members."""
    return read(path, walked_here(path, **options))
