"""The run: source -> pipeline -> backend -> sink, through a journal, and nothing lost."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hambatch.engines.loading import find_engine, load_engine
from hambatch.errors import HambatchError
from hambatch.score.devices import Crew, plan_to_go_on
from hambatch.score.journal.folder import Journal, open_journal
from hambatch.score.journal.rows import RowLog
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import Plan
from hambatch.score.record import Tally, describe_run, utc_now
from hambatch.score.runner import Progress, Run, facts_of, score_missing
from hambatch.score.start import (
    begin,
    begin_again,
    go_on,
    is_published,
    refuse_existing,
    refuse_format,
    refuse_impossible,
    refuse_repeated_ids,
)
from hambatch.sinks.formats import format_of
from hambatch.sinks.publish import open_outputs, record_path, stopped_path
from hambatch.sources.listing import Changes, Listing
from hambatch.system.interrupts import stopping


class _Started(NamedTuple):
    """When this start began, by two clocks."""

    monotonic: float
    utc: str


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    ``kept`` rows come from earlier starts; ``changes`` are the folder's since
    the first of them; ``seconds`` are of this start.
    """

    tally: Tally
    listing: Listing
    kept: int
    changes: Changes
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every image was scored, and every folder could be read."""
        return not self.tally.failed and not self.listing.survey.unreadable


def score(
    source: Path,
    out: Path,
    kind: str,
    options: ScoreOptions,
    *,
    overwrite: bool = False,
    retry_failed: bool = False,
    progress: Progress | None = None,
    tell: Callable[[Plan], None] | None = None,
) -> Outcome:
    """Score a folder of images into a table and its record, or go on doing so.

    Parameters
    ----------
    kind
        A key of :data:`hambatch.sinks.formats.FORMATS`, or ``auto``: by the suffix.
    overwrite
        Replace ``out`` if it exists, and forget what an earlier start finished.
    retry_failed
        Score only the failed rows of the finished table ``out`` again.
    tell
        Called with what the run computes with, before it computes anything.

    Raises
    ------
    HambatchError
        If it cannot be done. Finished rows stay in the journal beside ``out``.
    Interrupted
        If a signal asked it to stop: what was in hand is finished and kept.
    """
    started = _Started(time.monotonic(), utc_now())
    kind = format_of(out, kind)
    refuse_impossible(out)
    refuse_format(out, kind)
    with open_journal(out, forgotten=overwrite) as journal:
        if retry_failed and journal.begun and is_published(journal, out):
            journal.clear()
        if not journal.begun:
            refuse_existing(out, replace=overwrite or retry_failed)
        folder = find_engine(options.engine)
        plan = plan_to_go_on(journal, folder, options)
        if tell:
            tell(plan)
        # The workers load while the parent lists: both take a second or more.
        with Crew(folder, plan, source) as crew:
            engine = load_engine(folder)
            if journal.begun:
                changes = go_on(journal, source, engine, plan, out)
            elif retry_failed:
                changes = begin_again(journal, out, kind, source, engine, plan.options)
            else:
                changes = begin(journal, source, engine, plan.options, out)
            listing = journal.listing()
            refuse_repeated_ids(listing, kind)
            crew.watched(engine, journal.folder)
            with closing(journal.rows(listing.count)) as log, _telling(journal, log, listing):
                run = Run(source, out, plan, engine, journal, listing, log, crew)
                return _finish(run, kind, changes, started, progress)


def _finish(
    run: Run, kind: str, changes: Changes, started: _Started, progress: Progress | None
) -> Outcome:
    """Score what is missing, and publish all."""
    kept = run.log.done
    with stopping() as stop:
        score_missing(run, stop, progress)
    seconds = time.monotonic() - started.monotonic
    timing = _timing(run, started.utc, seconds, run.listing.count - kept)
    tally = _publish(run, kind, timing, changes)
    stopped_path(run.out).unlink(missing_ok=True)
    run.journal.done()
    return Outcome(tally, run.listing, kept, changes, seconds)


@contextmanager
def _telling(journal: Journal, log: RowLog, listing: Listing) -> Iterator[None]:
    """Let whatever ends the run say what is kept; a run that could do nothing keeps nothing."""
    try:
        yield
    except (HambatchError, KeyboardInterrupt) as error:
        if isinstance(error, HambatchError) and not log.done:
            journal.done()  # so that the next try may have other options
            raise
        error.add_note(
            f"{log.done} of {listing.count} images are done and kept: the same command, "
            "without --overwrite, goes on with the rest"
        )
        raise


def _timing(run: Run, started_utc: str, seconds: float, images: int) -> dict[str, Any]:
    stages = asdict(run.crew.stage_times)
    return {
        "begun_utc": run.journal.about["begun_utc"],
        "started_utc": started_utc,
        "ended_utc": utc_now(),
        "seconds": round(seconds, 3),
        "images": images,
        "images_per_s": round(images / max(seconds, 1e-9), 2),
        "workers_lost": run.crew.lost,
        "batches_not_trusted": run.crew.troubles,
        "stages": {name: round(value, 3) for name, value in stages.items()},
    }


def _publish(run: Run, kind: str, timing: dict[str, Any], changes: Changes) -> Tally:
    """Turn the journal into the table and its record."""
    tally = Tally()
    with open_outputs(run.out, kind, record_path(run.out), run.journal.folder) as outputs:
        for row in run.log.rows(run.listing):
            outputs.write(row)
            tally.count(row)
        facts = facts_of(run, changes)
        outputs.describe = partial(describe_run, facts=facts, tally=tally, timing=timing)
    return tally
