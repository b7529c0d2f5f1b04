"""The files behind a table: each is read and hashed again."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path

from hambatch.checks.verify.row import carried_differences
from hambatch.checks.verify.table import Difference
from hambatch.sinks.publish import outputs_of
from hambatch.sources.archives.reading import Archives
from hambatch.sources.dicom.header import carried_with
from hambatch.sources.entry import Entry
from hambatch.sources.kept_files import KeptFiles
from hambatch.sources.listing import Listing, list_sources
from hambatch.sources.reading import Bounds, Fetched, Item, fetch
from hambatch.sources.reading_order import in_reading_order
from hambatch.sources.source import Sources
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row

Progress = Callable[[Iterable[Difference | None], int], Iterable[Difference | None]]
"""Wraps the stream of compared files to show how far it is."""

ROW_WITHOUT_FILE = "row without a file"

READERS = 4

READ_AT_ONCE = 64

FOLDERS_KEPT = 16
"""Of which the entries are kept; rows of one folder mostly follow one another."""


@contextmanager
def listed(sources: Sources, table: Path) -> Iterator[Listing]:
    """List the images of the sources now, without the outputs of the run."""
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        yield list_sources(sources, Path(place) / "listing", leave=outputs_of(table))


def compare_files(
    rows: Mapping[str, Row],
    listing: Listing,
    bounds: Bounds,
    sources: Sources,
    progress: Progress,
) -> Iterator[Difference]:
    """Yield what differs between the rows and the files, which are read within ``bounds``."""
    for name, why in sorted(listing.survey.unreadable.items()):
        yield Difference(decode_name(name), "folder cannot be read now", found=why)
    with closing(Archives()) as archives:
        fetched = partial(fetch, bounds=bounds, archives=archives, files=KeptFiles())
        compared = _compared(rows, listing, sources, partial(_compare_bytes, sources, fetched))
        yield from filter(None, progress(compared, listing.count))


def _compared(
    rows: Mapping[str, Row],
    listing: Listing,
    sources: Sources,
    compare: Callable[[Entry, Row | None], Difference | None],
) -> Iterator[Difference | None]:
    """Yield, for every listed file and every row without one, a difference or None."""
    seen, count = set(), len(listing.columns)
    waiting = (entry for _, entry in in_reading_order(enumerate(listing.entries())))
    with ThreadPoolExecutor(READERS) as pool:
        while images := list(islice(waiting, READ_AT_ONCE)):
            names = [decode_name(entry.name) for entry in images]
            seen.update(names)
            found = [rows.get(name) for name in names]
            yield from pool.map(compare, images, found)
            for entry, row in zip(images, found, strict=True):
                if row and listing.columns:
                    cells = carried_with(row.reason, entry.carried, count)
                    yield from carried_differences(row, cells)
    source, entries = sources.only_folder, lru_cache(maxsize=FOLDERS_KEPT)(_entries)
    for name, row in rows.items():
        if name in seen:
            continue
        if source and _is_there(source, name, entries):
            # Earlier versions gave rows to files that are left out now, thumbnails for one.
            yield compare(Entry(encode_name(name)), row)
        else:
            yield Difference(name, ROW_WITHOUT_FILE, row.sha256 or row.reason)


def _is_there(source: Path, name: str, entries: Callable[[str], frozenset[str]]) -> bool:
    """Tell whether a listing could find a file by that name.

    A file has other paths, too: ``./a.jpg``, an absolute one, one through a linked folder, or in
    other letters where the file system takes them for the same. They are found like files that
    are not there: else an image could have several rows.
    """
    *folders, last = name.split("/")
    folder = str(source)
    try:
        for part in folders:
            if part not in entries(folder):
                return False
            folder = os.path.join(folder, part)
            if os.path.islink(folder):
                return False
        return last in entries(folder)
    except PermissionError:
        # A folder that may be entered and not read, which is a difference of its own.
        return os.path.lexists(source / name)
    except OSError:
        return False


def _entries(folder: str) -> frozenset[str]:
    return frozenset(os.listdir(folder))


def _compare_bytes(
    sources: Sources, fetched: Callable[[Item], Fetched], entry: Entry, row: Row | None
) -> Difference | None:
    name = decode_name(entry.name)
    if row is None:
        return Difference(name, "file without a row")
    now = fetched(sources.item(0, entry))
    if now.sha256 == row.sha256:
        return None
    if not row.sha256:
        return Difference(name, "file can be read now", row.reason, now.sha256)
    if not now.sha256:
        return Difference(name, "file cannot be read now", row.sha256, now.problem)
    return Difference(name, "file has changed", row.sha256, now.sha256)
