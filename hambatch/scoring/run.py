"""The story of a run: plan, start, work, look again, publish; a journal keeps every row."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hambatch.engines.loading import find_engine, load_engine
from hambatch.errors import HambatchError, WrongScores
from hambatch.scoring.changes import look_again, take_back_missing
from hambatch.scoring.devices import DevicePool
from hambatch.scoring.journal.folder import Journal, open_journal
from hambatch.scoring.journal.rows import RowLog
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import RunPlan, plan_run, sources_of
from hambatch.scoring.record import ChangedSince, Tally, describe_run, utc_now, write_stopped
from hambatch.scoring.reports import check_reports, refuse_no_dicom, reporting_of
from hambatch.scoring.runner import Progress, Run, score_missing
from hambatch.scoring.signing import bind_key, is_sealed, read_key, settle_seal
from hambatch.scoring.start import (
    begin,
    check_output,
    is_published,
    refuse_existing,
    refuse_own_output,
    refuse_repeated_ids,
    refused_id,
)
from hambatch.scoring.update.begin import begin_update
from hambatch.scoring.update.finish import Updated, finish_update
from hambatch.sinks.dicom_sr_table import Reporting
from hambatch.sinks.formats import format_to_write
from hambatch.sinks.isic_table import RepeatedId, repeated_ids, without_a_row
from hambatch.sinks.publish import beside_update, drop_update, open_outputs, stopped_path
from hambatch.sources.dicom.header import carried_with
from hambatch.sources.listing import Listing
from hambatch.system.files import followed, making_parents, showing_refusals
from hambatch.system.interrupts import stopping
from hambatch.types import DoubleChecked, Row


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    ``out`` is the table, also where a symbolic link was named; ``kept`` rows come from earlier
    starts; ``changes`` are SOURCE's since the first of them; ``seconds`` are of this start. A
    submission has one row for every id: ``without_row`` counts the images whose id stands for
    another one there; where structured reports are written, ``without_report`` counts the scored
    images that have none. ``seal`` says what became of it; ``twice`` counts what this start
    computed twice; ``updated`` is what a run with ``--update`` did.
    """

    out: Path
    tally: Tally
    listing: Listing
    kept: int
    changes: ChangedSince
    seconds: float
    without_row: int = 0
    seal: str = ""
    twice: DoubleChecked = field(default_factory=DoubleChecked)
    updated: Updated | None = None
    without_report: int = 0

    @property
    def complete(self) -> bool:
        """Whether every image that is in SOURCE at the end was scored, as far as can be seen.

        Where reports are written, it has one too.
        """
        seen_all = not self.listing.survey.unreadable and self.changes.none_missed
        return not (self.tally.failed or self.without_report) and seen_all


def score(
    sources: Sequence[Path],
    out: Path,
    kind: str,
    options: ScoreOptions,
    journal_dir: Path | None = None,
    *,
    null: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
    update: bool = False,
    rehash: float = 0.0,
    sign: Path | None = None,
    mkdir: bool = False,
    deliver: Callable[[Path], None] | None = None,
    progress: Progress | None = None,
    on_plan: Callable[[RunPlan], None] | None = None,
) -> Outcome:
    """Score images of sources into a table and its record; a run that was stopped is resumed.

    Parameters
    ----------
    sources
        As :func:`hambatch.sources.source.find_sources` takes them; ``null`` too.
    kind
        A key of :data:`hambatch.sinks.formats.FORMATS`, or ``auto``: by the suffix.
    journal_dir
        Where the journal lies instead of beside ``out``; the same for every start of a run.
    overwrite
        Replace ``out`` if it exists, and forget what an earlier start finished.
    retry_failed
        Score only the failed rows of the finished table ``out`` again.
    update
        Keep the rows of the finished table ``out`` whose images have the same bytes; without one,
        score all. ``rehash`` percent of the files that look as before are read all the same.
    sign
        The Ed25519 private key that seals table and record (:mod:`hambatch.sinks.seal`).
    mkdir
        Make the folders above ``out`` that are missing.
    deliver
        Called with the table when that is published, before its journal goes: until it returns,
        the same command makes the table again.
    on_plan
        Called with the run plan, before anything is computed.

    Raises
    ------
    HambatchError
        If it cannot be done. Finished rows stay in the journal beside ``out``.
    Interrupted
        If a signal stopped it: what is finished within five seconds is kept.
    """
    started, kind = (time.monotonic(), utc_now()), format_to_write(out, kind)
    out = followed(out)
    check_output(out, kind, update=update, mkdir=mkdir)
    check_reports(kind, keep_ids=options.keep_ids)
    key = read_key(sign, out)
    found = sources_of(sources, options, null=null)
    refuse_own_output(found, out)
    with (
        making_parents(out) if mkdir else nullcontext(),
        open_journal(out, journal_dir, forgotten=overwrite) as journal,
    ):
        # A kill may have come before the seal: then the journal makes all three again.
        if retry_failed and is_published(journal, out) and (not key or is_sealed(out, key.public)):
            journal.clear()
        updates = update and not journal.begun and out.exists()
        refuse_existing(journal, out, replace=overwrite or retry_failed or updates)
        bind_key(journal, out, key, keeps_rows=retry_failed or updates)

        folder = find_engine(options.engine)
        plan = plan_run(folder, options, found, began_on_gpu=journal.began_on_gpu)
        if on_plan:
            on_plan(plan)

        # The workers load while the parent lists: both take a second or more. An update may need
        # none.
        with DevicePool(plan, at_once=not (updates or journal.is_update)) as devices:
            engine = load_engine(folder, plan.job.engine_sha256)
            parts = (journal, found, engine, plan, out, kind, key)
            rows = begin_update(*parts, rehash) if updates else None
            if not updates:
                begin(*parts, retry_failed=retry_failed, indexed=update)
            listing = journal.listing()
            with closing(rows or journal.rows(listing)) as log, _saying_what_is_kept(journal, log):
                refuse_repeated_ids(listing, kind, found, plan.job.bounds)
                refuse_no_dicom(listing, kind)
                devices.add_sentinels(engine, journal.folder)
                taking_part = (engine, journal, listing, log, devices)
                run = Run(found, out, kind, plan, *taking_part, *started, key)
                return _work_and_publish(run, progress, deliver)


def _work_and_publish(
    run: Run, progress: Progress | None, deliver: Callable[[Path], None] | None
) -> Outcome:
    kept = run.log.done
    with stopping("the batches under way") as stop:
        stop.is_under_way = lambda: False
        try:
            score_missing(run, stop, progress)
            if take_back_missing(run):
                score_missing(run, stop, progress)
        except WrongScores as error:
            write_stopped(run, error)
            raise
    run.log.sync()
    changes = look_again(run)
    seconds = time.monotonic() - run.started
    left = _without_a_row(run)
    reporting = reporting_of(run)
    timing = _timing(run, seconds, run.listing.count - kept)
    tally, updated = _publish(run, changes, timing, left, reporting)
    seal = settle_seal(run.out, run.key)
    stopped_path(run.out).unlink(missing_ok=True)
    if deliver:
        deliver(run.out)
    run.journal.done()
    twice = run.devices.twice()
    parts = (tally, run.listing, kept, changes, seconds, len(left), seal, twice, updated)
    return Outcome(run.out, *parts, reporting.missing if reporting else 0)


def _without_a_row(run: Run) -> set[str]:
    """Choose the images that get no row in a submission; no other format leaves one out."""
    repeated = repeated_ids(run.listing) if run.kind == "isic" else {}
    try:
        return without_a_row(repeated, run.log.rows(run.listing)) if repeated else set()
    except RepeatedId as error:
        raise refused_id(str(error)) from error


def _publish(
    run: Run,
    changes: ChangedSince,
    timing: dict[str, Any],
    left: set[str],
    reporting: Reporting | None,
) -> tuple[Tally, Updated | None]:
    """Turn the journal into the table and its record; after an update, say what it did."""
    tally, updating, updated = Tally(), run.journal.begun_with.updating, list[Updated]()
    others = beside_update(run.out) if updating else ()
    how = (run.out, run.kind, run.journal.staging, run.key, run.listing.columns, others)
    with open_outputs(*how, reporting) as outputs:
        for row in _whole_rows(run):
            if row.image not in left:
                outputs.write(row)
            tally.count(row)

        def describe(sha256: str) -> dict[str, Any]:
            if updating:
                updated.append(finish_update(run, updating, sha256, outputs.staged))
            return _describe(run, tally, changes, timing, updated, sha256, reporting)

        outputs.describe = describe
    if not updating:
        drop_update(run.out)
    return tally, updated[0] if updated else None


def _whole_rows(run: Run) -> Iterator[Row]:
    """Yield the rows of the table: a journal has no cells of manifests."""
    rows = run.rows()
    if not run.listing.columns:
        return rows
    count = len(run.listing.columns)
    images = zip(rows, run.listing.entries(), strict=True)
    return (
        replace(row, carried=carried_with(row.reason, entry.carried, count))
        for row, entry in images
    )


def _describe(
    run: Run,
    tally: Tally,
    changes: ChangedSince,
    timing: dict[str, Any],
    updated: Sequence[Updated],
    sha256: str,
    reporting: Reporting | None,
) -> dict[str, Any]:
    """Make the record of the table that is about to appear, unless a file came to its path."""
    refuse_existing(run.journal, run.out, replace=False)
    run.log.sync()
    run.journal.note_table(sha256)
    update = asdict(updated[0]) if updated else None
    parts: dict[str, Any] = {"tally": tally, "changes": changes, "timing": timing}
    return describe_run(sha256, run=run, **parts, update=update, reporting=reporting)


def _timing(run: Run, seconds: float, images: int) -> dict[str, Any]:
    stages = asdict(run.devices.stage_times)
    return {
        "begun_utc": run.journal.begun_with.begun_utc,
        "started_utc": run.started_utc,
        "ended_utc": utc_now(),
        "seconds": round(seconds, 3),
        "images": images,
        "images_per_s": round(images / max(seconds, 1e-9), 2),
        "workers_lost": run.devices.lost,
        "batches_not_trusted": run.devices.troubles,
        "stages": {name: round(value, 3) for name, value in stages.items()},
    }


def _is_kept(journal: Journal, log: RowLog) -> bool:
    """Tell whether the rows are where the same command finds them; False where it is unknown."""
    try:
        return log.is_kept and journal.is_kept
    except OSError:
        return False


@contextmanager
def _saying_what_is_kept(journal: Journal, log: RowLog) -> Iterator[None]:
    """Add what is kept to the error that ends a run; a run that scored nothing keeps nothing."""
    try:
        with showing_refusals():
            yield
    except (HambatchError, KeyboardInterrupt) as error:
        if isinstance(error, HambatchError) and not log.done:
            journal.done()  # so that the next try may have other options
            raise
        if not _is_kept(journal, log):
            raise
        rest = "scores the rest" if log.done < log.images else "writes the table"
        error.add_note(
            f"{log.done} of {log.images} images are done and kept: the same command, "
            f"without --overwrite, {rest}"
        )
        raise
