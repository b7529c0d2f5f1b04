"""What became of SOURCE while a run scored it: files that came, went, or were replaced.

The listing is frozen when a run begins. At the end SOURCE is listed again, by the same rules, and
every file whose time of change is later than the beginning is read again: its row has to be of
the bytes that are there now. So is every file below a folder that was renamed since, since
another folder may have been moved to its place, and every file if the clock was set back.
"""

import errno
import math
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path

from hambatch.errors import InputError
from hambatch.score.plan import RunPlan
from hambatch.score.record import ChangedSince, utc_now
from hambatch.score.runner import Run
from hambatch.score.start import list_source
from hambatch.sources.folder import LeftOut
from hambatch.sources.listing import Changes, Listing, compare, refuse_no_images
from hambatch.sources.reading import Item, read_ahead
from hambatch.system.text import encode_name

CLOCK_S = 2
"""A file changed so shortly before the beginning is read again as well: FAT counts by two seconds,
and the clock of a file server is not ours."""

READERS, READ_AT_ONCE = 4, 4


MISSING = f"cannot be read: {os.strerror(errno.ENOENT)}"


def take_back_missing(run: Run) -> bool:
    """Take back failed rows of files that were missing when they were read, and are there now.

    A share that is not mounted for a moment says nothing about its files. Raises InputError if
    SOURCE is gone: all such rows are taken back then, and the next start scores their files.
    """
    if not (failed := set(run.log.failures())):
        return False
    with_names = ((index, name) for index, name in enumerate(run.listing) if index in failed)
    missing = [
        (index, os.path.exists(run.source / name))
        for index, name in with_names
        if run.log.row(index, name).reason == MISSING
    ]
    if not missing:
        return False
    try:
        refuse_no_images(run.source, follow_symlinks=run.plan.used.follow_symlinks)
    except InputError as error:
        run.log.void(index for index, _ in missing)
        found, *_ = str(error).splitlines()
        raise InputError(
            f"SOURCE went away under way: {found.rstrip('.')}; {len(missing)} files "
            "could not be read, which says nothing about them.\n"
            "Next: mount it or move it back, then run the same command again: it scores them"
        ) from error
    run.log.void(back := [index for index, is_back in missing if is_back])
    return bool(back)


def look_again(run: Run) -> ChangedSince:
    """List SOURCE again and compare it with the run's listing and rows; never raises for SOURCE."""
    began = run.journal.begun_with
    looked = ChangedSince(since_utc=began.oldest_row_utc or began.begun_utc, looked_utc=utc_now())
    try:
        changes, unreadable = _came_and_went(run.listing, run.source, run.plan, run.out)
        changed = _of_other_bytes(run, _reading_since(run, looked))
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


def _of_other_bytes(run: Run, since: float) -> LeftOut:
    """Find rows whose file has other bytes now; only files that were touched are read."""
    found = LeftOut()
    touched = _touched(run.listing, run.source, since)
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


def _reading_since(run: Run, looked: ChangedSince) -> float:
    """Give the time from which a change makes a file be read again.

    All are read if the clock was set back meanwhile: no time of a change says anything then.
    """
    begun, since = run.journal.begun_with.begun_utc, looked.since_utc
    times = [since, begun, *([run.started_utc] if run.journal.resumed else []), looked.looked_utc]
    seconds = [_seconds(utc) for utc in times]
    was_set_back = any(later < earlier - CLOCK_S for earlier, later in pairwise(seconds))
    return -math.inf if was_set_back else seconds[0] - CLOCK_S


def _touched(listing: Listing, source: Path, since: float) -> Iterator[tuple[int, str]]:
    """Yield the files whose bytes or entry changed after a time; missing ones are left out."""
    root = os.path.join(os.path.realpath(source), "")

    @lru_cache(maxsize=64)
    def was_renamed(folder: str) -> bool:
        above = os.path.dirname(folder)
        return _was_renamed(folder, since) or (above != folder and was_renamed(above))

    for index, name in enumerate(listing):
        try:
            status = os.lstat(root + name)
            if stat.S_ISLNK(status.st_mode) and status.st_ctime < since:
                status = os.stat(root + name)
        except OSError:
            continue
        # ctime, not mtime: a copy may keep the time of its original.
        if status.st_ctime >= since or was_renamed(os.path.dirname(root + name)):
            yield index, name


def _was_renamed(folder: str, since: float) -> bool:
    """Tell whether the last change of a folder after a time was one of its own entry.

    A file that comes or goes gives a folder one time in both; a new name changes ctime only.
    """
    try:
        status = os.stat(folder)
    except OSError:
        return False
    return status.st_ctime >= since and status.st_ctime_ns != status.st_mtime_ns


def _seconds(utc: str) -> float:
    return datetime.fromisoformat(utc).timestamp()
