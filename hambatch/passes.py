"""Scoring what is missing: pass after pass over the listing, until the journal has all."""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hambatch.atomic import write_json
from hambatch.config import ScoreOptions
from hambatch.crew import Crew, Member
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError, EngineError, InputError, MissingDependency
from hambatch.interrupts import Interrupted, Stop
from hambatch.journal.device_history import DeviceHistory
from hambatch.journal.folder import Journal
from hambatch.journal.log import RowLog
from hambatch.names import encode_name
from hambatch.plan import Plan
from hambatch.prediction import IndexedRow, rows_of
from hambatch.refusals import refuse_too_many_failed
from hambatch.run_record import Facts, describe_stopped, stopped_path
from hambatch.sentinels import SentinelError
from hambatch.side_by_side import side_by_side
from hambatch.sources.listing import Changes, Listing
from hambatch.temperature import as_wanted


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
    crew: Crew

    @property
    def options(self) -> ScoreOptions:
        """With the precision that is used."""
        return self.plan.options

    def keep_history(self, members: Iterable[Member] = ()) -> None:
        """Tell the journal what became of devices; rows that depend on it come after."""
        notes = {member.device: member.worker.note for member in members if member.worker.note}
        now = DeviceHistory(self.crew.notes | notes, self.crew.handed_over)
        self.journal.of_this_start(now)


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
    """Journal rows as they are vouched for; tell of every answer.

    The first pass is mostly the only one. Another does what a lost worker had answered and no
    known picture had vouched for yet, and what a device that failed has left. The last one does
    the files at which GPUs lost their workers.
    """
    passes = 0
    while run.log.done < run.listing.count and not (passes and stop.requested):
        before = _got_to(run)
        yield from _one_pass(run, stop)
        run.keep_history()
        got_on = _got_to(run) != before
        if passes and not got_on and not stop.requested:
            raise BackendError(
                f"workers are lost before they get anywhere: {'; '.join(run.crew.lost[-3:])}.\n"
                "Next: free memory, or take --threads 1, and run the same command again"
            )
        passes += 1


def _got_to(run: Run) -> tuple[int, int, int]:
    return run.log.done, len(run.crew.handed_over), len(run.crew.left)


def _one_pass(run: Run, stop: Stop) -> Iterator[Progressed]:
    failed = run.log.failed
    left = sum(index not in run.log for index in run.crew.left)
    on_left = left == run.listing.count - run.log.done
    with run.crew.at_work(on_left=on_left) as members:
        shares = range(len(members))
        skipped = {} if on_left else run.crew.left
        missing = [_missing(run, stop, skipped, share, len(members)) for share in shares]
        streams = [_rows(run, m, share) for m, share in zip(members, missing, strict=True)]

        def abandon() -> None:
            for member in members:
                member.worker.abandon()

        try:
            for answered, rows in side_by_side(streams, abandon):
                run.keep_history(members)
                run.log.append(rows)
                refuse_too_many_failed(run.log, run.listing, run.options.fail_over)
                yield Progressed(answered, run.log.failed - failed)
                failed = run.log.failed
        except SentinelError as error:
            _name_suspects(run, error)
            raise


def _rows(
    run: Run, member: Member, missing: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, list[IndexedRow]]]:
    """Score a member's share; where its device fails, the rest is left to the next pass."""
    manifest, watch = as_wanted(run.engine.manifest, run.options), member.watch
    try:
        for answered, rows in rows_of(member.worker, missing, run.source, manifest, watch):
            kept = run.crew.kept(member, rows)
            yield answered + len(kept) - len(rows), kept
    except (BackendError, EngineError, MissingDependency) as error:
        if not run.crew.may_fail(member):
            raise
        run.crew.fail(member, error)


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


def _missing(
    run: Run, stop: Stop, skipped: Container[int], share: int, shares: int
) -> Iterator[tuple[int, str]]:
    """Yield what is to be scored by one of the devices: every so manieth group of the listing."""
    for index, name in enumerate(run.listing):
        if stop.requested:
            return
        ours = index // run.options.batch_size % shares == share
        if ours and index not in run.log and index not in skipped:
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
        sentinels=run.crew.sentinels(),
        notes=run.journal.devices.notes,
        handed_over=run.journal.devices.handed_over,
    )
