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
from hambatch.scoring.record import ChangedSince, utc_now
from hambatch.scoring.runner import Run
from hambatch.scoring.start import list_for_run
from hambatch.sources.entry import Entry
from hambatch.sources.folder import LeftOut
from hambatch.sources.images import refuse_no_images
from hambatch.sources.listing import Changes, compare
from hambatch.sources.reading import Item, read_ahead
from hambatch.sources.reading_order import in_reading_order
from hambatch.system.text import decode_name, encode_name

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
    images = enumerate(run.listing.entries())
    missing = [
        (index, run.sources.path_of(entry).exists())
        for index, entry in images
        if index in failed and run.log.row(index, decode_name(entry.name)).reason == MISSING
    ]
    if not missing:
        return False
    try:
        refuse_no_images(run.sources)
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


class _Touched:
    """Which files were touched since a time."""

    def __init__(self, since: float) -> None:
        self._since = since
        # Members of one archive follow one another, and so do files of one folder.
        self.is_touched = lru_cache(maxsize=1)(self._is_touched)
        self._was_renamed = lru_cache(maxsize=64)(self._above_was_renamed)

    def is_untouched_file(self, path: Path) -> bool:
        """Tell whether a file is there and was left alone."""
        return path.is_file() and not self.is_touched(str(path))

    def images(self, run: Run) -> Iterator[tuple[int, Entry]]:
        """Yield images whose file, bytes or entry, changed; missing ones are left out."""
        for index, entry in enumerate(run.listing.entries()):
            if self.is_touched(run.sources.where(entry)):
                yield index, entry

    def _is_touched(self, path: str) -> bool:
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode) and status.st_ctime < self._since:
                status = os.stat(path)
        except OSError:
            return False
        # ctime, not mtime: a copy may keep the time of its original.
        return status.st_ctime >= self._since or self._was_renamed(os.path.dirname(path))

    def _above_was_renamed(self, folder: str) -> bool:
        above = os.path.dirname(folder)
        return _was_renamed(folder, self._since) or (above != folder and self._was_renamed(above))


def look_again(run: Run) -> ChangedSince:
    """List SOURCE again and compare it with the run's listing and rows; never raises for SOURCE."""
    began = run.journal.begun_with
    looked = ChangedSince(since_utc=began.oldest_row_utc or began.begun_utc, looked_utc=utc_now())
    try:
        touched = _Touched(_reading_since(run, looked))
        changes, unreadable = _came_and_went(run, touched)
        changed = _of_other_bytes(run, touched)
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


def _came_and_went(run: Run, touched: _Touched) -> tuple[Changes, dict[str, str]]:
    """Compare two listings; besides, folders that could be read when the first was made.

    An archive that nobody touched is not looked through again.
    """
    if not run.sources.can_be_listed_again:
        return Changes(), {}
    path = run.listing.path.with_name("listing.now")
    try:
        now = list_for_run(run.sources, path, run.out, leave_out=touched.is_untouched_file)
        before = run.listing.survey.unreadable
        lost = {n: why for n, why in now.survey.unreadable.items() if n not in before}
        return compare(_others(run, touched), now.encoded()), lost
    finally:
        path.unlink(missing_ok=True)


def _others(run: Run, touched: _Touched) -> Iterator[str]:
    """Yield the names of all images but those in archives that nobody touched."""
    for entry in run.listing.entries():
        if not (entry.is_member and touched.is_untouched_file(run.sources.path_of(entry))):
            yield entry.name


def _of_other_bytes(run: Run, touched: _Touched) -> LeftOut:
    """Find rows whose file has other bytes now; only files that were touched are read."""
    found = LeftOut()
    waiting = in_reading_order(touched.images(run))
    batches = iter(lambda: list(islice(waiting, READ_AT_ONCE)), [])
    images: dict[int, Entry] = {}

    def items() -> Iterator[list[Item]]:
        for batch in batches:
            images.update(batch)
            yield [run.sources.item(index, entry) for index, entry in batch]

    for fetched in read_ahead(items(), READERS, bounds=run.plan.job.bounds):
        for file in fetched:
            entry = images.pop(file.index)
            name = decode_name(entry.name)
            scored = run.log.row(file.index, name).sha256
            is_there = os.path.lexists(run.sources.path_of(entry))
            if scored and file.sha256 != scored and is_there:
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
