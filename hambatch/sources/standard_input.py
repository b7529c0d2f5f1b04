"""Paths on standard input, as ``find`` and ``git ls-files`` write them."""

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from hambatch.errors import InputError
from hambatch.system.text import excerpt

LONGEST = 2**16
"""Bytes of a path: more than any file system takes (4,096 on Linux, 32,767 letters on Windows)."""


def read_paths(stream: BinaryIO, *, null: bool) -> Iterator[str]:
    """Yield paths, one a line, or each ended by a byte 0 where ``null``, as ``find -print0`` does.

    A line may end as in Windows; without ``null``, lines without text are left out. Bytes that are
    no UTF-8 become surrogate escapes. Memory holds one path, and what was read with it.

    Raises InputError, with the number of the path, at one that is longer than any path or holds a
    byte 0, or if there is none.
    """
    empty = True
    for number, raw in enumerate(_parts(stream, b"\0" if null else b"\n"), 1):
        path = raw if null else _of_line(raw, number)
        if len(path) > LONGEST:
            wanted = "paths that each end with a byte 0" if null else "one path a line"
            raise _refused(
                f"more than {LONGEST:,} bytes without an end of a path",
                number,
                wanted,
                "leave -0 out if the paths stand on lines" if null else "write one path a line",
                path,
            )
        if path if null else path.strip():
            empty = False
            yield path.decode("utf-8", "surrogateescape")
    if empty:
        raise InputError(
            "standard input: found no path; wanted one a line.\n"
            "Next: find FOLDER -name '*.jpg' | hambatch score - --out preds.csv"
        )


def _parts(stream: BinaryIO, end: bytes) -> Iterator[bytes]:
    """Split what is read at ``end``; a part that is too long is given as far as it was read."""
    rest = b""
    while len(rest) <= LONGEST and (read := stream.read(LONGEST)):
        *whole, rest = (rest + read).split(end)
        yield from whole
    if rest:
        yield rest


def _of_line(raw: bytes, number: int) -> bytes:
    line = raw.removesuffix(b"\r")
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    if b"\0" in line:
        what = "add -0 if a byte 0 ends each path, or write the list in UTF-8"
        raise _refused("a byte 0", number, "paths in UTF-8, one a line", what, line)
    return line


def _refused(found: str, number: int, wanted: str, next_step: str, path: bytes) -> InputError:
    begins = excerpt(path[:400].decode("utf-8", "surrogateescape"), 80)
    return InputError(
        f"standard input: found {found} in path {number}, which begins {begins!r}; "
        f"wanted {wanted}.\nNext: {next_step}"
    )
