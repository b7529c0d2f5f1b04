"""Scoring what is missing: pass after pass over the listing, until the journal has all."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hambatch.atomic import write_json
from hambatch.config import ScoreOptions
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError, InputError
from hambatch.interrupts import Interrupted, Stop
from hambatch.journal.folder import Journal
from hambatch.journal.log import RowLog
from hambatch.names import encode_name
from hambatch.plan import Plan
from hambatch.prediction import job_for, rows_of
from hambatch.refusals import refuse_too_many_failed
from hambatch.run_record import Facts, describe_stopped, stopped_path
from hambatch.sentinels import SentinelError, SentinelWatch
from hambatch.sources.listing import Changes, Listing
from hambatch.supervision import SupervisedWorker


class Progressed(NamedTuple):
    """Images that were answered, and failed rows that were kept, since the last time."""

    answered: int
    failed: int


Progress = Callable[[Iterable[Progressed], int, int], Iterable[Progressed]]
"""Wraps the stream of answers to show how far a run is; given the number of images, and how
many of them were done before."""


@dataclass(frozen=True)
class Run:
    """All that takes part in one start of a run."""

    source: Path
    out: Path
    plan: Plan
    engine: Engine
    journal: Journal
    listing: Listing
    log: RowLog
    worker: SupervisedWorker
    watch: SentinelWatch

    @property
    def options(self) -> ScoreOptions:
        """With the precision that is used."""
        return self.plan.options


def score_missing(run: Run, stop: Stop, progress: Progress | None) -> None:
    """Bring every image's row into the journal.

    Raises
    ------
    Interrupted
        If ``stop`` was requested; what was in hand is finished first.
    HambatchError
        If it cannot be done, or too much of it fails.
    """
    answered = _answered(run, stop)
    for _ in progress(answered, run.listing.count, run.log.done) if progress else answered:
        pass
    if run.log.done < run.listing.count:
        raise Interrupted
    refuse_too_many_failed(run.log, run.listing, run.options.fail_over)


def _answered(run: Run, stop: Stop) -> Iterator[Progressed]:
    """Journal rows as they are vouched for; tell of every answer."""
    if run.log.done < run.listing.count:
        yield from _one_pass(run, run.worker, stop)
    # What a lost worker had answered, and no known picture had vouched for yet.
    while run.log.done < run.listing.count and not stop.requested:
        before = run.log.done
        job = job_for(run.engine.folder, run.options, run.source)
        lost = run.worker.lost
        with SupervisedWorker(job, run.options.decode_seconds, lost) as worker:
            yield from _one_pass(run, worker, stop)
        if run.log.done == before and not stop.requested:
            raise BackendError(
                f"workers are lost before they get anywhere: {'; '.join(lost[-3:])}.\n"
                "Next: free memory, or take --threads 1, and run the same command again"
            )


def _one_pass(run: Run, worker: SupervisedWorker, stop: Stop) -> Iterator[Progressed]:
    missing = _missing(run.listing, run.log, stop)
    failed = run.log.failed
    run.watch.forget()
    try:
        for answered, rows in rows_of(worker, missing, run.source, run.engine.manifest, run.watch):
            run.log.append(rows)
            refuse_too_many_failed(run.log, run.listing, run.options.fail_over)
            yield Progressed(answered, run.log.failed - failed)
            failed = run.log.failed
    except SentinelError as error:
        _name_suspects(run, error)
        raise


def _name_suspects(run: Run, error: SentinelError) -> None:
    """Write down what cannot be believed; none of it is in the journal."""
    suspect = set(error.suspect)
    path = stopped_path(run.out)
    try:
        names = [encode_name(name) for index, name in enumerate(run.listing) if index in suspect]
        write_json(path, describe_stopped(facts_of(run, Changes()), error, names))
    except (OSError, InputError) as failure:
        error.add_note(f"{path.name}, which should name them, could not be written: {failure}")
    else:
        error.add_note(f"{path.name} names them; they are not among what is kept")


def _missing(listing: Listing, log: RowLog, stop: Stop) -> Iterator[tuple[int, str]]:
    for index, name in enumerate(listing):
        if stop.requested:
            return
        if index not in log:
            yield index, name


def facts_of(run: Run, changes: Changes) -> Facts:
    """Collect what a record says."""
    return Facts(
        output=run.out,
        listing=run.listing,
        engine=run.engine,
        plan=run.plan,
        fingerprint=run.journal.about["fingerprint"],
        changes=changes,
        sentinels=run.watch.summary(),
    )
