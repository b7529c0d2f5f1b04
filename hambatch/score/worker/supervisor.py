"""A worker that may be lost: replaced, and what it died of found and given a failed row."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType

import numpy as np

from hambatch.errors import BackendError, DeviceLost
from hambatch.score.worker.process import Worker, WorkerLost
from hambatch.score.worker.protocol import Answer, Job, Ready, StageTimes, Touched
from hambatch.sources.reading import Item
from hambatch.types import Failure

LOST_AT_MOST = 100
"""Workers that a run may lose. One file that kills its decoder costs two of them
and some five seconds; a machine on which workers keep dying is a bad set-up."""


KNOWN_GOOD_LOST_AT_MOST = 3
"""Workers that may be lost at a trusted file, which it cannot be the fault of."""


REPLACEABLE_LOST_AT_MOST = 20
"""Workers that a device may lose whose work others can do: it is theirs the sooner."""


SECONDS_AN_IMAGE = 1.0
"""What a group may take an image beyond ``decode_seconds``, on the slowest machine."""


class SupervisedWorker:
    """Answers for every group, whatever becomes of the process that computes them.

    After a loss the unanswered groups are done one file at a time: the file at
    which the worker is lost again gets a failed answer, every other file its own.
    A trusted file is tried again first.

    Where another device can do the work, a device that loses its worker once more at a
    trusted file, or at a second of those files, has failed: two files that crash a
    decoder are rarer side by side.

    Parameters
    ----------
    lost
        The list to add losses to, where the device has had others before.
    replaceable
        Whether another device can do the work.

    Attributes
    ----------
    lost
        Why each lost worker was lost, in order.
    lost_at
        Indices of the files that got a failed answer for it.
    started
        Processes so far; answers come from the latest.
    was_ready
        Whether one of them had loaded its engine.
    note
        What the backend of the latest said of how it runs.
    stage_times
        Where the time of the processes went that answered everything they were
        asked; filled as they end.
    """

    def __init__(
        self,
        job: Job,
        decode_seconds: float,
        lost: list[str] | None = None,
        *,
        replaceable: bool = False,
    ) -> None:
        self._job, self._decode_seconds, self._replaceable = job, decode_seconds, replaceable
        self.lost = [] if lost is None else lost
        self.lost_at: set[int] = set()
        self.started = 0
        self.was_ready, self.note = False, ""
        self._abandoned = False
        self.stage_times, self._troubles = StageTimes(), Counter[str]()
        self._start()

    def __enter__(self) -> "SupervisedWorker":
        """Return the running worker."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop whichever process is running."""
        self._worker.__exit__(kind, error, traceback)

    @property
    def troubles(self) -> dict[str, int]:
        """How many batches of those same processes were not trusted, and why."""
        return dict(self._troubles)

    def wait_ready(self) -> Ready:
        """Wait until the engine is loaded; raises as :meth:`Worker.wait_ready`."""
        ready = self._worker.wait_ready()
        self.was_ready, self.note = True, ready.note
        return ready

    def abandon(self) -> None:
        """Let :meth:`answers`, which another thread takes, end with an error; for any thread."""
        self._abandoned = True
        self._worker.kill()

    def answers(self, groups: Iterable[Sequence[Item]]) -> Iterator[Answer]:
        """Yield answers in order; after a loss, one file an answer for a while.

        Raises
        ------
        BackendError
            If a worker is lost before it is ready, or too many are lost.
        DeviceLost
            If the device is replaceable and has failed.
        """
        source, unanswered = iter(groups), deque[Sequence[Item]]()
        while True:
            self.wait_ready()
            try:
                for answer in self._worker.answers(_noted(source, unanswered)):
                    unanswered.popleft()
                    yield answer
                self._add_account()
                return
            except WorkerLost as lost:
                self._note(lost)
            yield from self._one_by_one([item for group in unanswered for item in group])
            unanswered.clear()
            self._start()

    def _one_by_one(self, items: Sequence[Item]) -> Iterator[Answer]:
        waiting, known_good_lost, tried_again = deque(items), 0, set[int]()
        blamed = 0
        while waiting:
            self._start(one_by_one=True)
            self.wait_ready()
            try:
                for answer in self._worker.answers([item] for item in tuple(waiting)):
                    waiting.popleft()
                    yield answer
            except WorkerLost as lost:
                self._note(lost)
                if not waiting:
                    return
                item, touched = waiting[0], self._worker.touched
                if self._replaceable and (item.sentinel or blamed):
                    raise _device_lost(lost, item) from lost
                if item.sentinel and known_good_lost < KNOWN_GOOD_LOST_AT_MOST:
                    known_good_lost += 1
                elif not (touched or lost.hung or item.index in tried_again):
                    # Nobody has begun with it: that worker died of something else.
                    tried_again.add(item.index)
                else:
                    blamed += 1
                    self.lost_at.add(item.index)
                    yield _failed(waiting.popleft(), lost, touched)
            else:
                self._add_account()
                self._worker.__exit__(None, None, None)

    def _start(self, *, one_by_one: bool = False) -> None:
        self.started += 1
        job = replace(self._job, one_by_one=one_by_one)
        extra = 0.0 if one_by_one else SECONDS_AN_IMAGE * job.batch_size * job.tta
        self._worker = Worker(job, self._decode_seconds + extra)
        # Not before it can be found: whoever abandons meanwhile kills the one before it.
        if self._abandoned:
            self._worker.kill()

    def _add_account(self) -> None:
        self.stage_times += self._worker.stage_times
        self._troubles.update(self._worker.troubles)
        if self._worker.lost_at_the_end:
            self.lost.append(f"{self._worker.lost_at_the_end}, all its answers given")

    def _note(self, lost: WorkerLost) -> None:
        self._worker.__exit__(WorkerLost, lost, None)
        if self._abandoned:
            raise lost
        self.lost.append(lost.in_short)
        if len(self.lost) > (REPLACEABLE_LOST_AT_MOST if self._replaceable else LOST_AT_MOST):
            raise BackendError(
                f"{len(self.lost)} workers were lost in one run, more than a few bad files "
                f"explain.\nThe last: {lost},\nwhich goes on where this run stopped: finished "
                "rows are kept. If workers keep dying, look for what kills them first: too "
                "little memory (fewer --threads, a smaller --batch-size), or a folder of files "
                "that crash decoders"
            ) from lost


def _device_lost(lost: WorkerLost, item: Item) -> DeviceLost:
    at = "at a known picture" if item.sentinel else "at one file after the other"
    return DeviceLost(
        f"the worker process {lost.in_short}, {at}.\n"
        "Next: hambatch doctor, then run the same command again"
    )


def _noted(
    source: Iterator[Sequence[Item]], sent: deque[Sequence[Item]]
) -> Iterator[Sequence[Item]]:
    for group in source:
        sent.append(group)
        yield group


def _failed(item: Item, lost: WorkerLost, touched: Touched | None) -> Answer:
    limit = ", the limit (--decode-seconds)" if lost.hung else ""
    what = "decoded: the decoder" if touched else "read: the reader"
    reason = f"cannot be {what} {lost.cause}{limit}"
    failure = Failure(item.index, touched.sha256 if touched else "", reason)
    return Answer(
        np.empty(0, np.int64), np.empty((0, 7), np.float32), [], [], [failure], by_parent=True
    )
