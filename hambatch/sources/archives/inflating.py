"""The bytes of a compressed file from front to back: gzip or Zstandard, in any number of parts."""

import sys
import zlib
from typing import Any

from hambatch.sources.archives.member import Damaged, damaged
from hambatch.sources.archives.windows import Window

GZIP, ZSTANDARD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"

_NAMES = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x04\x22\x4d\x18": "LZ4", b"\x1f\x9d": "compress"}

AT_ONCE = 1 << 18
"""Compressed bytes that are read at a time."""

MOST_OUT = 1 << 20
"""Bytes that are inflated at a time, without Python's lock."""

LONGEST_WINDOW = 27
"""Bits of the window that a Zstandard frame may ask for, 128 MB: as the program ``zstd`` allows."""

SLACK = 100_000_000
"""Bytes that any archive may inflate to, however small it is."""


def other_compression(head: bytes) -> str:
    """Name a compression that is not read; empty for any other beginning."""
    return next((name for start, name in _NAMES.items() if head.startswith(start)), "")


def is_compressed(head: bytes) -> bool:
    """Recognise a compressed file, of a kind that is read or not."""
    return head.startswith(GZIP) or is_zstandard(head) or bool(other_compression(head))


def is_zstandard(head: bytes) -> bool:
    """Recognise a Zstandard frame, or one to be skipped: pzstd begins with one."""
    return head.startswith(ZSTANDARD) or (head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5)


class Inflating:
    """The inflated bytes of a compressed file, read forward.

    ``most``: how many bytes may come out; more is a bomb. ``place``: how many have been read.
    Raises Damaged where the compressed bytes are damaged, cut off, or too many.
    """

    def __init__(self, file: Window, max_ratio: float = 0) -> None:
        self._file, self._read, self._ratio = file, 0, max_ratio
        self._most = int(max_ratio * file.size) + SLACK if max_ratio else sys.maxsize
        self._waiting = b""
        self._part: _Gzip | _Zstandard | None = None
        self._out, self._at = b"", 0
        self.place = 0

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, or fewer at the end."""
        self._refuse_bomb(size)
        if self._at + size <= len(self._out):
            taken = self._out[self._at : self._at + size]
            self._take(size)
            return taken
        parts, missing = [], size
        while missing and self._fill():
            part = self._out[self._at : self._at + missing]
            self._take(len(part))
            missing -= len(part)
            parts.append(part)
        return b"".join(parts)

    def skip(self, size: int, /) -> int:
        """Pass over bytes; gives how many there were."""
        self._refuse_bomb(size)
        missing = size
        while missing and self._fill():
            there = min(missing, len(self._out) - self._at)
            self._take(there)
            missing -= there
        return size - missing

    def _take(self, size: int) -> None:
        self._at += size
        self.place += size

    def _refuse_bomb(self, size: int) -> None:
        if self.place + size > self._most:
            raise Damaged(
                f"archive would inflate to more than {self._most / 1e6:.1f} MB from "
                f"{self._file.size / 1e6:.1f} MB, the limit is {self._ratio:g} times its size "
                "(--max-ratio)"
            )

    def _fill(self) -> bool:
        """Have at least one byte ready; False at the end."""
        while self._at == len(self._out):
            if self._part is None and not self._begin():
                return False
            self._out, self._at = self._inflated(), 0
        return True

    def _begin(self) -> bool:
        """Begin the next part of the file; False if there is none."""
        while len(self._waiting) < 4 and self._more():
            pass
        # Archives for tapes are filled with zero bytes.
        while self._read and self._waiting and not self._waiting.strip(b"\0"):
            self._waiting = b""
            if self._more() and self._waiting.strip(b"\0"):
                break
        if not self._waiting:
            return False
        if self._waiting.startswith(GZIP):
            self._part = _Gzip()
        elif is_zstandard(self._waiting):
            self._part = _Zstandard()
        else:
            raise damaged("bytes that are not compressed follow its compressed ones")
        return True

    def _more(self) -> bool:
        content = self._file.read_at(self._read, AT_ONCE)
        self._read += len(content)
        self._waiting += content
        return bool(content)

    def _inflated(self) -> bytes:
        part = self._part
        assert part is not None  # noqa: S101
        if part.needs_input and not self._waiting:
            self._more()
        was_last = not self._waiting
        content, self._waiting = part.inflated(self._waiting), b""
        if part.ended:
            self._waiting, self._part = part.unused, None
        elif not content and was_last:
            raise damaged("its compressed bytes end too early: it was cut off")
        return content


class _Gzip:
    """One member of a gzip file."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._error: zlib.error | None = None

    def inflated(self, content: bytes) -> bytes:
        if self._error is None:
            waiting, before = self._stream.unconsumed_tail + content, self._stream.copy()
            try:
                return self._stream.decompress(waiting, MOST_OUT)
            except zlib.error as error:
                self._error = error
                if found := _before_error(before, waiting):
                    return found
        raise damaged(f"its compressed bytes cannot be inflated: {self._error}") from self._error

    @property
    def needs_input(self) -> bool:
        return not (self._stream.unconsumed_tail or self._error)

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def unused(self) -> bytes:
        return self._stream.unused_data


def _before_error(stream: Any, content: bytes) -> bytes:
    """Inflate byte by byte what comes before an error: a wrong check sum loses no member."""
    parts, room = [], MOST_OUT
    try:
        for k in range(len(content)):
            parts.append(stream.decompress(stream.unconsumed_tail + content[k : k + 1], room))
            room -= len(parts[-1])
            if room <= 0:
                break
    except zlib.error:
        pass
    return b"".join(parts)


class _Zstandard:
    """One frame of a Zstandard file."""

    def __init__(self) -> None:
        zstd = _zstd()
        limit = {zstd.DecompressionParameter.window_log_max: LONGEST_WINDOW}
        self._stream, self._error = zstd.ZstdDecompressor(options=limit), zstd.ZstdError

    def inflated(self, content: bytes) -> bytes:
        try:
            found: bytes = self._stream.decompress(content, MOST_OUT)
        except self._error as error:
            raise damaged(f"its compressed bytes cannot be inflated: {error}") from error
        return found

    @property
    def needs_input(self) -> bool:
        return bool(self._stream.needs_input)

    @property
    def ended(self) -> bool:
        return bool(self._stream.eof)

    @property
    def unused(self) -> bytes:
        return bytes(self._stream.unused_data)


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
