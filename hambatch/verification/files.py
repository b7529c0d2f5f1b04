"""The table against the folder: every file has its row, every row its file, with those bytes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from hambatch.batches import Row
from hambatch.limits import Limits
from hambatch.sources.reading import Bounds, Fetched, Item, fetch
from hambatch.verification.differences import Difference

READERS = 4
READ_AT_ONCE = 64


def compare_files(
    rows: Mapping[str, Row], listed: Iterable[str], fetched: Callable[[str], Fetched]
) -> Iterator[Difference | None]:
    """Yield, for every listed file and every row without one, a difference or None.

    Parameters
    ----------
    listed
        The images of the folder now, sorted.
    fetched
        Reads an image.
    """
    seen = set()
    waiting = iter(listed)
    with ThreadPoolExecutor(READERS) as pool:
        while names := list(islice(waiting, READ_AT_ONCE)):
            seen.update(names)
            yield from pool.map(lambda name: _compare(name, rows.get(name), fetched), names)
    for name, row in rows.items():
        # A row that says that its file could not be read is true of one that is not there.
        if name not in seen and row.sha256:
            yield Difference(name, "row without a file", row.sha256)


def reading(root: Path, limits: Limits, *, follow_symlinks: bool) -> Callable[[str], Fetched]:
    """Read images as the run did, under its limits."""
    bounds = Bounds(None if follow_symlinks else root.resolve(), limits)

    def fetched(name: str) -> Fetched:
        return fetch(Item(0, root / name), bounds)

    return fetched


def _compare(name: str, row: Row | None, fetched: Callable[[str], Fetched]) -> Difference | None:
    if row is None:
        return Difference(name, "file without a row")
    now = fetched(name)
    if now.sha256 == row.sha256:
        return None
    if not row.sha256:
        return Difference(name, "file can be read now", row.reason, now.sha256)
    if not now.sha256:
        return Difference(name, "file cannot be read now", row.sha256, now.problem)
    return Difference(name, "file has changed", row.sha256, now.sha256)
