"""The members of a tar, header by header [1]_: ustar, GNU and pax names; plain or compressed.

References
----------
.. [1] pax in POSIX.1-2017, https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html;
   the GNU format: https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from hambatch.sources.archives.member import Damaged, Found, Member, Method, damaged
from hambatch.sources.archives.windows import Window

BLOCK = 512

LONGEST_HEADER = 1 << 20
"""Bytes of a long name or of pax records: more than any file system has."""

CUT = "member is cut off: the archive ends in the middle of it"

_NO_BLOCK = bytes(BLOCK)

_AT_ONCE = 1 << 20

_FOLDERS = frozenset(b"5D")
_OTHERS = {
    ord("1"): "member is a hard link to another one",
    ord("2"): "member is a symbolic link",
    ord("3"): "member is a device",
    ord("4"): "member is a device",
    ord("6"): "member is a FIFO",
}
"""Kinds without bytes of their own, whatever size their header states. Kinds that are not known
are files, as POSIX wants it."""

_SPARSE, _CONTINUED = ord("S"), ord("M")
_GNU_NAME, _GNU_LINK, _GNU_LABEL = b"LKV"
_PAX, _PAX_GLOBAL, _SOLARIS_PAX = b"xgX"


class Stream(Protocol):
    """The uncompressed bytes of a tar, read from front to back."""

    place: int

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, or fewer at the end."""

    def skip(self, size: int, /) -> int:
        """Pass over bytes; gives how many there were."""


class PlainTar:
    """A tar that is not compressed: passing over reads nothing."""

    def __init__(self, window: Window) -> None:
        self.window, self.place = window, 0

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, or fewer at the end."""
        content = self.window.read_at(self.place, size)
        self.place += len(content)
        return content

    def skip(self, size: int, /) -> int:
        """Pass over bytes; gives how many there were."""
        there = max(0, min(size, self.window.size - self.place))
        self.place += there
        return there


class Content:
    """The bytes of one member, a stream as well: what is read of them is passed over."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream, self.left, self.place = stream, size, 0
        self.is_cut = False

    def read(self, size: int, /) -> bytes:
        """Read so many bytes, or fewer at the member's end."""
        return self._noted(self._stream.read(min(size, self.left)), min(size, self.left))

    def skip(self, size: int, /) -> int:
        """Pass over bytes; gives how many there were."""
        wanted = min(size, self.left)
        there = self._stream.skip(wanted)
        self._note(there, wanted)
        return there

    def is_whole(self) -> bool:
        """Pass over what is left; False if the archive ends before the member does."""
        self.skip(self.left)
        return not self.is_cut

    def window(self) -> Window | None:
        """Give the bytes that are left in their place; None in a compressed tar."""
        if isinstance(self._stream, PlainTar):
            return self._stream.window.part(self._stream.place, self.left)
        return None

    def _noted(self, content: bytes, wanted: int) -> bytes:
        self._note(len(content), wanted)
        return content

    def _note(self, there: int, wanted: int) -> None:
        self.left -= there
        self.place += there
        self.is_cut |= there < wanted


@dataclass
class _Ahead:
    """What extended headers say of the next member."""

    name: str | None = None
    size: int | None = None
    sparse: bool = False
    sparse_name: str | None = None
    problem: str = ""


Visit = Callable[[Found, Content], Iterator[Found]]
"""Makes rows of one member; may read its content, and the content of no other."""


def walk_tar(stream: Stream, base: int, method: Method, visit: Visit) -> Iterator[Found]:
    """Yield what ``visit`` makes of the members, in their order; folders are left out.

    ``base`` is added to the offsets. Raises Damaged after the members that were found, if the
    archive ends before the two blocks of zeros at its end, has something else where a header should
    be, or has more bytes behind its end.
    """
    ahead, common = _Ahead(), _Ahead()
    while (block := _block(stream)) != _NO_BLOCK:
        kind, size, name = _header(block, stream.place)
        if kind in (_GNU_NAME, _GNU_LINK, _PAX, _PAX_GLOBAL, _SOLARIS_PAX):
            content = _extended(stream, size)
            _note(content, kind, common if kind == _PAX_GLOBAL else ahead)
            continue
        if kind == _SPARSE:
            _pass_map(stream, block)
        name = ahead.sparse_name or ahead.name or common.name or name
        size = _size(kind, size if ahead.size is None else ahead.size)
        problem = ahead.problem or common.problem or _problem(kind, ahead.sparse)
        ahead, begin = _Ahead(), stream.place
        part = Content(stream, size)
        if not (kind in _FOLDERS or kind == _GNU_LABEL or (kind == 0 and name.endswith("/"))):
            where = Member(method, base + begin, size, size, zlib.crc32(block))
            named = name.removeprefix("./") or "(no name)"
            found = Found(named, None, problem) if problem else Found(named, where)
            yield from visit(found, part)
        if not part.is_whole() or stream.skip(-size % BLOCK) < -size % BLOCK:
            raise damaged("it ends in the middle of a member: it was cut off")
    if _block(stream) != _NO_BLOCK:
        raise damaged("it has one block of zeros where its end should have two")
    _refuse_more(stream)


def _size(kind: int, stated: int) -> int:
    return 0 if kind in _OTHERS or kind == ord("5") else stated


def _pass_map(stream: Stream, block: bytes) -> None:
    """Pass over the blocks in which GNU's sparse members say where their bytes belong."""
    more = block[482]
    while more:
        more = _block(stream)[504]


def _refuse_more(stream: Stream) -> None:
    """Raise Damaged if there is more than zeros behind the end: another archive, say."""
    while content := stream.read(_AT_ONCE):
        if content.strip(b"\0"):
            raise Damaged(
                f"archive has more bytes after its end, before byte {stream.place}: they are not "
                "scored; if several archives were put together, take them apart"
            )


def _block(stream: Stream) -> bytes:
    block = stream.read(BLOCK)
    if len(block) < BLOCK:
        raise damaged(
            f"it ends at byte {stream.place} without the two blocks of zeros that end a tar: it "
            "was cut off"
        )
    return block


def _header(block: bytes, place: int) -> tuple[int, int, str]:
    """Give kind, size and name of a header; ``place`` is where its data begin."""
    stated = _number(block[148:156])
    # The sum's own field counts as blanks.
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    size = _number(block[124:136])
    is_sum = stated == total or stated == _signed_sum(block)
    if not is_sum or size is None or size < 0:
        raise damaged(f"at byte {place - BLOCK} it has no header of a member")
    name = _text(block[:100])
    if block[257:263] == b"ustar\0" and block[345]:
        name = f"{_text(block[345:500])}/{name}"
    return block[156], size, name


def _signed_sum(block: bytes) -> int:
    """Add up a header as some old programs do: with bytes from -128 to 127."""
    blank = block[:148] + b" " * 8 + block[156:]
    return sum(blank) - 256 * sum(byte > 127 for byte in blank)


def _number(digits: bytes) -> int | None:
    """Read an octal number, or GNU's of base 256; None if it is neither."""
    if digits[0] & 0x80:
        value = int.from_bytes(digits, "big") & ((1 << (8 * len(digits) - 1)) - 1)
        return -1 if digits[0] == 0xFF else value
    try:
        # What follows the byte 0 that ends a number is no part of it.
        return int(digits.lstrip(b"\0 ").partition(b"\0")[0].rstrip() or b"0", 8)
    except ValueError:
        return None


def _text(content: bytes) -> str:
    return content.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _extended(stream: Stream, size: int) -> bytes:
    if size > LONGEST_HEADER:
        raise damaged(f"before byte {stream.place} a name has {size} bytes")
    stored = size + -size % BLOCK
    content = stream.read(stored)
    if len(content) < stored:
        raise damaged("it ends in the middle of a name: it was cut off")
    return content[:size]


def _note(content: bytes, kind: int, known: _Ahead) -> None:
    if kind == _GNU_NAME:
        known.name = _text(content)
        # GNU's tar ends a name with a byte 0, and has none in it.
        if not known.name or content.rstrip(b"\0") != content.partition(b"\0")[0]:
            known.problem = "member has a long name that is damaged"
    elif kind != _GNU_LINK:
        try:
            records = list(_records(content))
        except ValueError:
            records, known.problem = [], "member has a name (pax) that cannot be read"
        for key, value in records:
            if key == b"path":
                known.name = value.decode("utf-8", "surrogateescape")
            elif key == b"size" and value.isdigit() and len(value) < 20:
                known.size = int(value)
            elif key.startswith(b"GNU.sparse."):
                known.sparse = True
                if key == b"GNU.sparse.name":
                    known.sparse_name = value.decode("utf-8", "surrogateescape")


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield pax records: ``LENGTH KEY=VALUE`` and a line end, whose length counts all of it."""
    while content.strip(b"\0"):
        digits, _, _ = content.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        record = content[len(digits) + 1 : length]
        key, equals, value = record.removesuffix(b"\n").partition(b"=")
        if not equals or not record.endswith(b"\n") or length > len(content):
            raise ValueError("no record of pax")
        yield key, value
        content = content[length:]


def _problem(kind: int, is_sparse: bool) -> str:
    if is_sparse or kind == _SPARSE:
        return "member is sparse: it has holes that are not stored"
    if kind == _CONTINUED:
        return "member began in an earlier part of the archive"
    return _OTHERS.get(kind, "")


def is_header(block: bytes) -> bool:
    """Tell whether a block is the header of a member, by its check sum."""
    block = block[:BLOCK]
    try:
        return len(block) == BLOCK and block != _NO_BLOCK and bool(_header(block, BLOCK))
    except Damaged:
        return False
