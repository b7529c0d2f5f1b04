"""Bytes of files, read ahead by threads, with the hash of the very bytes read."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hambatch.hashing import sha256_of_bytes

GROUPS_AHEAD = 2
"""Groups whose reading is under way while an earlier one is decoded."""


@dataclass(frozen=True)
class Item:
    """A file to score: its position in the run's listing, and where it is."""

    index: int
    path: Path


@dataclass(frozen=True)
class Fetched:
    """A file's bytes; ``problem`` says in a line why there are none."""

    index: int
    content: bytes
    sha256: str
    problem: str = ""


def fetch(item: Item) -> Fetched:
    """Read one file whole and hash it; what goes wrong is data."""
    try:
        if not item.path.is_file():
            found = "not a regular file" if item.path.exists() else "no such file"
            return Fetched(item.index, b"", "", f"cannot be read: {found}")
        content = item.path.read_bytes()
    except OSError as error:
        return Fetched(item.index, b"", "", f"cannot be read: {error.strerror or error}")
    return Fetched(item.index, content, sha256_of_bytes(content))


def read_ahead(
    groups: Iterable[Sequence[Item]], readers: int, depth: int = GROUPS_AHEAD
) -> Iterator[list[Fetched]]:
    """Yield each group's bytes in order, reading up to ``depth`` later groups meanwhile."""
    with ThreadPoolExecutor(readers, thread_name_prefix="reader") as pool:
        ahead: deque[list[Future[Fetched]]] = deque()
        for group in groups:
            ahead.append([pool.submit(fetch, item) for item in group])
            if len(ahead) > depth:
                yield [future.result() for future in ahead.popleft()]
        while ahead:
            yield [future.result() for future in ahead.popleft()]
