"""Scoring what is missing: pass after pass over the listing, until the journal has all."""

import queue
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hambatch.engines.loading import Engine
from hambatch.engines.probabilities import as_wanted
from hambatch.errors import BackendError, EngineError, InputError, MissingDependency
from hambatch.risk.decision import decided
from hambatch.scoring.devices import Device, DevicePool
from hambatch.scoring.journal.folder import Journal
from hambatch.scoring.journal.rows import RowLog
from hambatch.scoring.plan import RunPlan
from hambatch.scoring.rows import IndexedRow, rows_of
from hambatch.sources.entry import Entry
from hambatch.sources.listing import Listing
from hambatch.sources.reading_order import in_reading_order
from hambatch.sources.source import Sources
from hambatch.system.interrupts import Interrupted, Stop
from hambatch.system.signing_keys import SigningKey
from hambatch.types import Row

T = TypeVar("T")

REASONS_SHOWN = 1000
"""Failed rows whose reasons are counted when too many have failed."""


class Progressed(NamedTuple):
    """Images that were answered, and failed rows that were kept, since the last time."""

    answered: int
    failed: int


Progress = Callable[[Iterable[Progressed], int, int], Iterable[Progressed]]
"""Wraps the stream of answers to show how far a run is; given the number of images, and how
many of them were done before."""


@dataclass(frozen=True)
class Run:
    """One start of a run: its paths, its plan, and all that takes part in it.

    ``kind`` is the format of ``out``; ``started`` is this start's time in
    :func:`time.monotonic`, and ``started_utc`` in words; ``key`` signs what comes out.
    """

    sources: Sources
    out: Path
    kind: str
    plan: RunPlan
    engine: Engine
    journal: Journal
    listing: Listing
    log: RowLog
    devices: DevicePool
    started: float
    started_utc: str
    key: SigningKey | None = None

    def rows(self) -> Iterator[Row]:
        """Read all rows, each with its risk: the journal has none, as certificates may change."""
        return (decided(row, self.plan.rules) for row in self.log.rows(self.listing))

    @property
    def is_done(self) -> bool:
        """Whether every image has a row in the journal."""
        return self.log.done == self.listing.count


def score_missing(run: Run, stop: Stop, progress: Progress | None) -> None:
    """Bring every image's row into the journal.

    Raises
    ------
    Interrupted
        If ``stop`` was requested; what is finished and proven within
        :data:`hambatch.system.interrupts.SECONDS_TO_FINISH` is kept.
    HambatchError
        If it cannot be done, or too much of it fails.
    """
    answered = _passes(run, stop)
    try:
        for _ in progress(answered, run.listing.count, run.log.done) if progress else answered:
            pass
    except BackendError as error:
        if stop.late:
            raise Interrupted from error
        raise
    if stop.requested or not run.is_done:
        raise Interrupted
    refuse_too_many_failed(run)


def _passes(run: Run, stop: Stop) -> Iterator[Progressed]:
    """Go over the listing until every image has its row.

    One pass is mostly enough. Another scores what a lost worker had answered and no sentinel
    had proven yet, and what a device that failed has left. The last one scores the files at
    which GPUs lost their workers.
    """
    first = True
    while not (run.is_done or stop.requested):
        before = _state(run)
        yield from _one_pass(run, stop)
        run.journal.note_devices(run.devices.history())
        if not first and _state(run) == before and not stop.requested:
            raise BackendError(
                f"workers are lost before they get anywhere: {'; '.join(run.devices.lost[-3:])}.\n"
                "Next: free memory, or take --threads 1, and run the same command again"
            )
        first = False


def _state(run: Run) -> tuple[int, int, int]:
    return run.log.done, len(run.devices.handed_over), len(run.devices.left)


def _one_pass(run: Run, stop: Stop) -> Iterator[Progressed]:
    """Share what is missing among the devices, and journal their rows as they are proven."""
    failed, left = run.log.failed, run.devices.left
    on_left = sum(index not in run.log for index in left) == run.listing.count - run.log.done
    with run.devices.at_work(on_left=on_left) as devices:
        skipped = {} if on_left else left
        streams = [
            _rows(run, stop, device, _missing(run, stop, skipped, share, len(devices)))
            for share, device in enumerate(devices)
        ]

        def abandon() -> None:
            for device in devices:
                device.worker.abandon()

        _arrange_stop(stop, devices, abandon)
        for answered, rows in side_by_side(streams, abandon):
            # First what became of devices: rows depend on it.
            run.journal.note_devices(run.devices.history(devices))
            run.log.append(rows)
            refuse_too_many_failed(run)
            yield Progressed(answered, run.log.failed - failed)
            failed = run.log.failed


def _arrange_stop(stop: Stop, devices: Sequence[Device], abandon: Callable[[], None]) -> None:
    """Let a signal shorten the work of the devices, and end it when that is late."""

    def hurry() -> None:
        for device in devices:
            device.worker.hurry()

    stop.hurry, stop.abandon = hurry, abandon
    stop.is_under_way = lambda: any(device.worker.was_ready for device in devices)
    # It may have come before the first pass, or between two.
    if stop.requested and stop.is_under_way():
        hurry()
    elif stop.requested:
        stop.late = True
    if stop.late:
        abandon()


def _missing(
    run: Run, stop: Stop, skipped: Container[int], share: int, shares: int
) -> Iterator[tuple[int, Entry]]:
    """Yield what one of the devices is to score: every n-th batch of the listing."""
    images = in_reading_order(enumerate(run.listing.entries()))
    for place, (index, entry) in enumerate(images):
        if stop.requested:
            return
        ours = place // run.plan.used.batch_size % shares == share
        if ours and index not in run.log and index not in skipped:
            yield index, entry


def _rows(
    run: Run, stop: Stop, device: Device, missing: Iterable[tuple[int, Entry]]
) -> Iterator[tuple[int, list[IndexedRow]]]:
    """Score a device's share; where the device fails, the rest is left to the next pass."""
    manifest = as_wanted(run.engine.manifest, run.plan.used.calibration)
    scored = rows_of(device.worker, missing, run.sources, manifest, device.watch)
    try:
        for answered, rows in scored:
            kept = run.devices.without_left(device, rows)
            yield answered + len(kept) - len(rows), kept
    except (BackendError, EngineError, MissingDependency) as error:
        if stop.late or not run.devices.may_fail(device):
            raise
        run.devices.fail(device, error)


def refuse_too_many_failed(run: Run) -> None:
    """Raise InputError, with the most common reasons, if more than ``fail_over`` have failed.

    The failed rows are taken back: what made them fail was likely not the images, so the next
    start scores them again.
    """
    log, images, percent = run.log, run.listing.count, run.plan.used.fail_over
    # Counting failures costs a little: with 100 %, the default, it is not needed.
    if percent >= 100 or log.failed <= images * percent / 100:
        return
    failures = log.failures()
    shown = set(failures[:REASONS_SHOWN])
    names = ((index, name) for index, name in enumerate(run.listing) if index in shown)
    reasons = Counter(log.row(index, name).reason for index, name in names)
    log.void(failures)
    named = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    raise InputError(
        f"{len(failures)} of {images} images failed, more than --fail-over {percent:g} %: "
        f"{named}.\nNext: see what they have in common, then run the same command again: "
        "it tries them once more"
    )


AHEAD = 2
"""Items of a stream that wait to be taken, at most."""

_END = object()


def side_by_side(streams: Sequence[Iterator[T]], abandon: Callable[[], None]) -> Iterator[T]:
    """Yield what the streams give, as it comes; a single one is drawn without a thread.

    ``abandon`` is called when a stream raises, or the caller stops early: every stream has to
    end soon then, in whatever way. What was raised first in time is raised here.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    drawn: queue.Queue[Any] = queue.Queue(AHEAD * len(streams))
    raised: list[BaseException] = []
    left = len(streams)

    def draw(stream: Iterator[T]) -> None:
        try:
            for item in stream:
                drawn.put(item)
        except BaseException as error:
            # Whatever is abandoned raises too: only the first is the reason.
            raised.append(error)
            abandon()
        finally:
            drawn.put(_END)

    def taken() -> Iterator[T]:
        nonlocal left
        while left:
            item = drawn.get()
            if item is _END:
                left -= 1
            else:
                yield item

    with ThreadPoolExecutor(len(streams), thread_name_prefix="device") as pool:
        for stream in streams:
            pool.submit(draw, stream)
        try:
            yield from taken()
        except BaseException:
            abandon()
            raise
        finally:
            # Dropped, so that every stream can end.
            for _ in taken():
                pass
    if raised:
        raise raised[0]
