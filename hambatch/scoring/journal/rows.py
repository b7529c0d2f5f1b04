"""The append-only file of finished rows: one line a row, each with its checksum.

A line is ``CRC32 JSON``, and the JSON a list: index, tag, cells. The tag is a hash of the image's
name and of the run's fingerprint: with another listing or in another run's journal, it is no row
of this image. What a kill or a full disk left half-written at the end is cut off when the file is
opened again, and its images are scored again.

With ``--sign``, a line ends with a mark, which shows that a start with that key wrote it. Lines
without it count as missing, so that no forged row is signed.
"""

import hashlib
import hmac
import json
import logging
import os
import time
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec
from msgspec import Meta

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.system.files import refusing, sync_open
from hambatch.system.locks import is_same
from hambatch.system.schema import convert, decode
from hambatch.system.text import encode_name, excerpt, plural
from hambatch.types import Row

log = logging.getLogger(__name__)

SYNC_SECONDS = 1.0
"""At most so much work is done again after a power cut; after a kill, less."""

TAG_BYTES = 8
"""A row of another name has the same tag in one of 2^64 cases."""

MARK_BYTES = 16

_MISSING, _OK, _FAILED = range(3)

_Index = Annotated[int, Meta(ge=0)]
_Probability = Annotated[float, Meta(ge=0, le=1)]


class _Scored(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A line about an image."""

    index: _Index
    tag: str
    status: Literal["ok", "failed"]
    prediction: Literal["", *CLASSES]  # type: ignore[valid-type]
    probabilities: tuple[_Probability, ...]
    malignant: _Probability
    decoder: str
    backend: str
    sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
    reason: str
    ood: Annotated[float, Meta(ge=0)] | None = None
    quality: str = ""
    mark: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError if a row that is ``ok`` has no probabilities, or a failed one has."""
        wanted = len(CLASSES) if self.status == "ok" else 0
        if len(self.probabilities) != wanted or bool(self.prediction) != bool(wanted):
            raise ValueError(f"a row {self.status!r} of {len(self.probabilities)} probabilities")


@dataclass(frozen=True)
class _Void:
    """A line that takes rows back."""

    void: list[_Index]


class RowLog:
    """Rows by the index of their image.

    Memory is nine bytes an image: its state, and where its last line begins.

    Parameters
    ----------
    path
        Opened, or created with mode 0600.
    images
        How many there are in the run's listing.
    run
        What the rows belong to: a hash of the run's fingerprint.
    secret
        Of the key that signs, to mark lines with; empty: no line is marked, and none is ignored.
    place
        Descriptor of the file's folder; None: the one that ``path`` names.
    check_lock
        Raises InputError if the journal may be another run's by now.
    """

    def __init__(
        self,
        path: Path,
        images: int,
        run: str = "",
        *,
        secret: bytes = b"",
        place: int | None = None,
        check_lock: Callable[[], None] = lambda: None,
    ) -> None:
        self._path, self._place, self._check_lock = path, place, check_lock
        self._tagging = hashlib.blake2b(run.encode(), digest_size=TAG_BYTES)
        self._is_whole = True
        self._marking = hashlib.blake2b(key=secret, digest_size=MARK_BYTES) if secret else None
        self._places = array("q", [0]) * images
        self._states = bytearray(images)
        with refusing(path):
            self._file = self._opened(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            self._end = self._recover()
            os.ftruncate(self._file, self._end)
        self._synced = time.monotonic()

    def __contains__(self, index: int) -> bool:
        """Tell whether the image has a row."""
        return self._states[index] != _MISSING

    @property
    def images(self) -> int:
        """Count the images of the run's listing."""
        return len(self._states)

    @property
    def done(self) -> int:
        """Count the images that have a row."""
        return len(self._states) - self._states.count(_MISSING)

    @property
    def failed(self) -> int:
        """Count the images whose row is a failed one."""
        return self._states.count(_FAILED)

    def failures(self) -> list[int]:
        """Name the images whose row is a failed one, in order."""
        return [index for index, state in enumerate(self._states) if state == _FAILED]

    def append(self, rows: Sequence[tuple[int, Row]]) -> None:
        """Write rows, in one call; synced to the disk about once a second.

        Raises InputError if the disk is full, or the folder is gone.
        """
        lines = [self._row_line(index, row) for index, row in rows]
        places = accumulate(map(len, lines), initial=self._end)
        self._write(lines)
        for place, (index, row) in zip(places, rows, strict=False):
            self._note(index, row.status, place)
        # After that: what is in the file counts as kept, whatever syncing says.
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def void(self, indices: Iterable[int]) -> None:
        """Take rows back: their images are to be scored again."""
        gone = sorted(indices)
        self._write([_line(_text({"void": gone}))])
        self._forget(gone)
        self.sync()

    def check(self, names: Iterable[str]) -> None:
        """Read every row that is there; raises InputError if one is about another image."""
        with self._reading() as stream:
            for index, name in enumerate(names):
                if index in self:
                    self._read(stream, index, name)

    def rows(self, names: Iterable[str]) -> Iterator[Row]:
        """Yield the row of every image; ``names`` are the listing's, in order.

        Raises InputError if a row is about another image, or the file was changed under way.
        """
        with self._reading() as stream:
            for index, name in enumerate(names):
                yield self._read(stream, index, name)

    def row(self, index: int, name: str) -> Row:
        """Read one image's row; raises InputError if it is about another image."""
        with self._reading() as stream:
            return self._read(stream, index, name)

    def sync(self) -> None:
        """Flush to the disk; raises InputError if the file or the journal's lock was removed."""
        with refusing(self._path):
            sync_open(self._file)
            kept = self.is_kept
        self._check_lock()
        if not kept:
            raise InputError(
                f"{self._path}, the finished rows of this run, was removed under way.\n"
                "Next: run the same command again: it scores those images once more"
            )
        self._synced = time.monotonic()

    @property
    def is_kept(self) -> bool:
        """Whether the file is where it was, and whole; raises OSError where that is unknown."""
        name = self._path if self._place is None else self._path.name
        return self._is_whole and is_same(name, self._place, self._file)

    def close(self) -> None:
        """Flush and close the file; it stays."""
        with suppress(OSError):
            sync_open(self._file)
        os.close(self._file)

    def _opened(self, path: str | Path, flags: int) -> int:
        name = path if self._place is None else self._path.name
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._place)

    def _reading(self) -> BinaryIO:
        with refusing(self._path):
            return open(self._path, "rb", opener=self._opened)

    def _read(self, stream: BinaryIO, index: int, name: str) -> Row:
        stream.seek(self._places[index])
        line = stream.readline()
        found = self._parsed(line)
        if index not in self:
            raise AssertionError(f"{self._path} holds no row of image {index}")
        if not isinstance(found, _Scored) or found.index != index:
            self._is_whole = False
            raise InputError(
                f"{self._path} was changed under way: the row of image {index} is no longer where "
                "it was written.\nNext: run the same command again: it scores what is lost once "
                "more; and check this machine's disk and memory"
            )
        if found.tag != self._tag(name) or not self._is_marked(line):
            raise InputError(
                f"{self._path} has a row of another image or of another run at index {index}, "
                f"wanted a row about {encode_name(name)} of this run.\n"
                "Next: add --overwrite to start afresh"
            )
        return _row(name, found)

    def _tag(self, name: str) -> str:
        tagging = self._tagging.copy()
        tagging.update(os.fsencode(name))
        return tagging.hexdigest()

    def _write(self, lines: list[bytes]) -> None:
        content = b"".join(lines)
        with refusing(self._path):
            try:
                written = 0
                while written < len(content):
                    written += os.write(self._file, content[written:])
            except OSError:
                os.ftruncate(self._file, self._end)
                raise
        self._end += len(content)

    def _recover(self) -> int:
        end = ignored = 0
        with self._reading() as stream:
            for line in stream:
                found = self._parsed(line)
                if found is None:
                    break
                if isinstance(found, _Void):
                    self._forget(found.void)
                elif not self._is_marked(line):
                    ignored += 1
                else:
                    self._note(found.index, found.status, end)
                end += len(line)
        if ignored:
            log.warning(
                "%s of the journal, not written with this --sign KEY, may be forged: the images "
                "are scored again",
                plural(ignored, "row"),
            )
        return end

    def _parsed(self, line: bytes) -> _Scored | _Void | None:
        """Read a line back; None if it is not whole.

        Raises InputError if it is whole and no run with this listing writes it.
        """
        text = line[9:-1]
        if not line.endswith(b"\n") or line[:9] != b"%08x " % zlib.crc32(text):
            return None
        try:
            # A reason may hold half a character, which stands for a byte of a name.
            found = convert(decode(text, strict=False), _Scored | _Void)  # type: ignore[arg-type]
            for index in found.void if isinstance(found, _Void) else [found.index]:
                if index >= len(self._places):
                    raise ValueError(f"it is about image {index} of {len(self._places)}")
        except ValueError as error:
            raise InputError(
                f"{self._path} has a line that no run writes: {excerpt(str(error))}; "
                "wanted rows of this run.\nNext: add --overwrite to start afresh"
            ) from error
        return found

    def _row_line(self, index: int, row: Row) -> bytes:
        cells = [row.status, row.prediction, row.probabilities, row.malignant]
        cells += [row.decoder, row.backend, row.sha256, row.reason, row.ood, row.quality]
        text = _text([index, self._tag(row.image), *cells])
        return _line(text[:-1] + self._mark(text[:-1]) if self._marking else text)

    def _mark(self, text: bytes) -> bytes:
        """Give what ends the text of a line that is marked."""
        if self._marking is None:
            raise AssertionError("no line is marked without a key")
        marking = self._marking.copy()
        marking.update(text)
        return b',"%s"]' % marking.hexdigest().encode()

    def _is_marked(self, line: bytes) -> bool:
        """Tell whether a line, which is whole, is marked as this run marks lines."""
        if self._marking is None:
            return True
        text = line[9:-1]
        at = text.rfind(b",")
        return hmac.compare_digest(self._mark(text[:at]), text[at:])

    def _note(self, index: int, status: str, place: int) -> None:
        """Enter one row into the index."""
        self._places[index] = place
        self._states[index] = _FAILED if status == "failed" else _OK

    def _forget(self, indices: Iterable[int]) -> None:
        for index in indices:
            self._states[index] = _MISSING


def _row(name: str, found: _Scored) -> Row:
    _, _, *cells, _ = msgspec.structs.astuple(found)
    return Row(name, *cells)


def _text(value: object) -> bytes:
    # ASCII, so that a reason may hold anything; repr of a float reads back as the same float.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _line(text: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(text), text)
