"""How an update begins: the table before is kept, and its rows are sorted out."""

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.scoring.journal.begun import Updating
from hambatch.scoring.journal.fingerprint import fingerprint_of, other_than_listing
from hambatch.scoring.journal.folder import Journal
from hambatch.scoring.journal.rows import RowLog
from hambatch.scoring.plan import RunPlan
from hambatch.scoring.record import history_of, read_record, utc_now
from hambatch.scoring.signing import table_to_keep
from hambatch.scoring.start import list_for_run, refuse_changed
from hambatch.scoring.update.index import Index, UnfitIndex, keep_stats, kept_stats, open_index
from hambatch.scoring.update.reuse import Reused, reuse_rows
from hambatch.sinks.formats import read_rows, refuse_unfit
from hambatch.sinks.publish import record_path
from hambatch.sources.source import Sources
from hambatch.system.files import open_regular
from hambatch.system.signing_keys import SigningKey
from hambatch.system.text import first_names, plural

log = logging.getLogger(__name__)

COPIED_AT_ONCE = 2**20
"""Bytes."""


def begin_update(
    journal: Journal,
    sources: Sources,
    engine: Engine,
    plan: RunPlan,
    out: Path,
    kind: str,
    key: SigningKey | None,
    rehash: float,
) -> RowLog:
    """List the sources, and begin with the rows that a finished table has of the same bytes.

    Where the table was made with other settings, no row is kept. ``rehash`` percent of the files
    that look as before are read all the same. Gives the rows that the journal holds now, to be
    closed; to read them again would take a fifth of a night without news. Raises InputError if the
    table is not its record's, or with a key, if its seal does not fit.
    """
    journal.clear()
    with table_to_keep(out, key) as kept:
        record = read_record(record_path(kept))
        _keep_table(journal, kept, kind, record["output"]["sha256"])
    listed_ns, begun_utc = time.time_ns(), utc_now()
    listing = list_for_run(sources, journal.listing_path, out)
    refuse_unfit(listing, kind, out)
    stats = keep_stats(journal, sources, listing)
    now = fingerprint_of(sources, listing, engine, plan)
    because = other_than_listing(record["fingerprint"], now)
    updating = Updating(listed_ns, stats, record["output"]["sha256"], rescored_because=because)
    with ExitStack() as stack:
        rows = stack.enter_context(closing(journal.rows(listing, now)))
        if not because:
            images = zip(listing.entries(), kept_stats(journal), strict=True)
            old = partial(read_rows, journal.before_path, kind)
            reuse = partial(reuse_rows, images, old, rows, sources, plan.job.bounds, rehash)
            updating = _reused(updating, reuse, out, record, sources)
        history = None if because else history_of(record)
        journal.begin(now, listing.survey, begun_utc, history, updating=updating)
        stack.pop_all()
    return rows


def _keep_table(journal: Journal, kept: Path, kind: str, wanted: str) -> None:
    """Copy the table into the journal: what changed is found at the end, after any kill."""
    digest = hashlib.sha256()
    with journal.new_file("before") as copy:
        try:
            with open_regular(kept) as table:
                while part := table.read(COPIED_AT_ONCE):
                    digest.update(part)
                    copy.write(part)
        except OSError as error:
            raise InputError(
                f"{kept} cannot be read: {error.strerror}.\n"
                "Next: add --overwrite instead of --update to score all of it again"
            ) from error
    refuse_changed(kept, digest.hexdigest(), wanted)
    # Of another format than --format says? The error names the table.
    next(read_rows(kept, kind), None)


def _reused(
    updating: Updating,
    reuse: Callable[[Index | None], Reused],
    out: Path,
    record: dict[str, Any],
    sources: Sources,
) -> Updating:
    """Keep what can be kept, with the index of the table where it fits; and say so."""
    try:
        with open_index(out, record, sources) as index:
            reused = reuse(index)
    except UnfitIndex as error:
        updating = replace(updating, index_not_used=str(error))
        reused = reuse(None)
    _warn(reused)
    return replace(
        updating,
        reused_by_stat=reused.by_stat,
        reused_by_sha256=reused.by_sha256,
        refused=reused.refused,
        rehashed=reused.rehashed,
        other_bytes=reused.other_bytes,
    )


def _warn(reused: Reused) -> None:
    other = reused.other_bytes
    if other.count:
        log.warning(
            "%s no longer what was scored, though size, times and inode are the same: %s; "
            "check this disk, and restore them from a backup",
            f"{plural(other.count, 'file')} {'is' if other.count == 1 else 'are'}",
            first_names(other.names),
        )
