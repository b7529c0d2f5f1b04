"""Scoring what is missing: pass after pass over the listing, until the journal has all."""

import queue
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hambatch.engines.loading import Engine
from hambatch.engines.probabilities import as_wanted
from hambatch.errors import BackendError, EngineError, InputError, MissingDependency, SentinelError
from hambatch.score.devices import Crew, Member
from hambatch.score.journal.folder import DeviceHistory, Journal
from hambatch.score.journal.rows import RowLog
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import Plan
from hambatch.score.record import Facts, describe_stopped
from hambatch.score.rows import IndexedRow, rows_of
from hambatch.score.start import refuse_too_many_failed
from hambatch.sinks.publish import stopped_path
from hambatch.sources.listing import Changes, Listing
from hambatch.system.files import write_json
from hambatch.system.interrupts import Interrupted, Stop
from hambatch.system.text import encode_name

T = TypeVar("T")


_END = object()


AHEAD = 2
"""Items of a stream that wait to be taken, at most."""


def side_by_side(streams: Sequence[Iterator[T]], abandon: Callable[[], None]) -> Iterator[T]:
    """Yield what the streams give, as it comes; a single one is drawn without a thread.

    Parameters
    ----------
    abandon
        Called when a stream raises, or whoever takes the items does not want more: every stream
        has to end soon then, in whatever way. What was raised first in time is raised here.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    drawing = _Drawing(len(streams), abandon)
    with ThreadPoolExecutor(len(streams), thread_name_prefix="device") as pool:
        for stream in streams:
            pool.submit(drawing.draw, stream)
        try:
            yield from drawing.items()
        except BaseException:
            abandon()
            raise
        finally:
            drawing.wait()
    if drawing.raised:
        raise drawing.raised[0]


class _Drawing:
    """What is drawn on several threads and taken on one; ``raised`` is in the order of time."""

    def __init__(self, streams: int, abandon: Callable[[], None]) -> None:
        self.raised: list[BaseException] = []
        self._left, self._abandon = streams, abandon
        self._drawn: queue.Queue[object] = queue.Queue(AHEAD * streams)
        self._one_at_a_time = threading.Lock()

    def draw(self, stream: Iterator[Any]) -> None:
        """Draw all of a stream, on a thread of its own."""
        try:
            for item in stream:
                self._drawn.put(item)
        except BaseException as error:
            # Whoever is abandoned raises too: only the first is the reason.
            with self._one_at_a_time:
                self.raised.append(error)
            self._abandon()
        finally:
            self._drawn.put(_END)

    def items(self) -> Iterator[Any]:
        """Give what is drawn, until every stream has ended."""
        while self._left:
            item = self._drawn.get()
            if item is _END:
                self._left -= 1
            else:
                yield item

    def wait(self) -> None:
        """Drop what is still drawn, so that every stream can end."""
        while self._left:
            self._left -= self._drawn.get() is _END


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
    manifest, watch = as_wanted(run.engine.manifest, run.options.calibration), member.watch
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
