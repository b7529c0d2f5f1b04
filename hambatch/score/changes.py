"""What became of SOURCE while a run scored it: files that came, went, or were replaced.

The listing is frozen when a run begins. At the end SOURCE is listed again, by the same rules, and
every file whose time of change is later than the beginning is read again: its row has to be of
the bytes that are there now.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from hambatch.errors import InputError
from hambatch.score.plan import RunPlan
from hambatch.score.record import ChangedSince, utc_now
from hambatch.score.runner import Run
from hambatch.score.start import list_source
from hambatch.sources.folder import LeftOut
from hambatch.sources.listing import Changes, Listing, compare
from hambatch.sources.reading import Item, read_ahead
from hambatch.system.text import encode_name

CLOCK_S = 2
"""A file changed so shortly before the beginning is read again as well: FAT counts by two seconds,
and the clock of a file server is not ours."""

READERS, READ_AT_ONCE = 4, 4


def look_again(run: Run) -> ChangedSince:
    """List SOURCE again and compare it with the run's listing and rows; never raises for SOURCE."""
    began = run.journal.begun_with
    looked = ChangedSince(since_utc=began.oldest_row_utc or began.begun_utc, looked_utc=utc_now())
    try:
        changes, unreadable = _came_and_went(run.listing, run.source, run.plan, run.out)
        changed = _of_other_bytes(run, looked.since_utc)
    except (InputError, OSError, ValueError) as error:
        first, *_ = str(error).splitlines()
        return replace(looked, problem=encode_name(first))
    return replace(
        looked,
        added=changes.added,
        gone=changes.gone,
        changed=changed.count,
        added_names=changes.added_names,
        changed_names=changed.names,
        unreadable=unreadable,
    )


def _came_and_went(
    listing: Listing, source: Path, plan: RunPlan, out: Path
) -> tuple[Changes, dict[str, str]]:
    """Compare two listings; besides, folders that could be read when the first was made."""
    path = listing.path.with_name("listing.now")
    try:
        now = list_source(source, path, plan, out)
        before = listing.survey.unreadable
        lost = {n: why for n, why in now.survey.unreadable.items() if n not in before}
        return compare(listing, now), lost
    finally:
        path.unlink(missing_ok=True)


def _of_other_bytes(run: Run, since_utc: str) -> LeftOut:
    """Find rows whose file has other bytes now; only files that were touched are read."""
    found = LeftOut()
    touched = _touched(run.listing, run.source, _seconds(since_utc) - CLOCK_S)
    batches = iter(lambda: list(islice(touched, READ_AT_ONCE)), [])
    names: dict[int, str] = {}

    def items() -> Iterator[list[Item]]:
        for batch in batches:
            names.update(batch)
            yield [Item(index, run.source / name) for index, name in batch]

    for fetched in read_ahead(items(), READERS, bounds=run.plan.job.bounds):
        for file in fetched:
            name = names.pop(file.index)
            scored = run.log.row(file.index, name).sha256
            if scored and file.sha256 != scored and os.path.lexists(run.source / name):
                found.add(name)
    return found


def _touched(listing: Listing, source: Path, since: float) -> Iterator[tuple[int, str]]:
    """Yield the files whose bytes or entry changed after a time; missing ones are left out."""
    root = os.path.join(source, "")
    for index, name in enumerate(listing):
        try:
            status = os.lstat(root + name)
            if stat.S_ISLNK(status.st_mode) and status.st_ctime < since:
                status = os.stat(root + name)
        except OSError:
            continue
        # ctime, not mtime: a copy may keep the time of its original.
        if status.st_ctime >= since:
            yield index, name


def _seconds(utc: str) -> float:
    return datetime.fromisoformat(utc).timestamp()
