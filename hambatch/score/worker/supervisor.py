"""A worker that may be lost: it is replaced, and the file that it died of gets a failed row."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from hambatch.errors import BackendError, DeviceLost
from hambatch.score.worker.process import Worker, WorkerLost
from hambatch.score.worker.protocol import Answer, Job, Ready, StageTimes, Touched
from hambatch.sources.reading import Item
from hambatch.types import Failure

LOST_AT_MOST = 100
"""Workers that a device may lose. One file that kills its decoder costs two of them
and some five seconds; a machine on which workers keep dying is a bad set-up."""

REPLACEABLE_LOST_AT_MOST = 20
"""Fewer for a device whose work others can do."""

SENTINEL_LOST_AT_MOST = 3
"""Workers that may be lost at a sentinel, which cannot be its fault."""

SECONDS_AN_IMAGE = 1.0
"""What each image of a batch may take beyond ``decode_seconds``, on the slowest machine."""


class SupervisedWorker:
    """Answers every batch, whatever becomes of the process that computes the answers.

    After a loss the unanswered batches are done one file at a time: the file at which the
    worker is lost again gets a failed answer, every other its own. A sentinel is tried twice.

    Where another device can do the work, a device that loses its worker once more at a
    sentinel, or at a second of those files, has failed: two such files in a row are rarer.

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
        What the latest one's backend notes on how it runs.
    stage_times
        Where the time of the processes went that answered everything; filled as they end.
    troubles
        How many batches of those processes were not trusted, and why.
    """

    def __init__(
        self, job: Job, lost: list[str] | None = None, *, replaceable: bool = False
    ) -> None:
        self._job, self._replaceable = job, replaceable
        self.lost = [] if lost is None else lost
        self.lost_at: set[int] = set()
        self.started = 0
        self.was_ready, self.note = False, ""
        self._abandoned = False
        self.stage_times, self.troubles = StageTimes(), Counter[str]()
        self._start()

    def __enter__(self) -> "SupervisedWorker":
        """Return the running worker."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Stop whichever process is running."""
        self._worker.stop(at_once=error is not None)

    def wait_ready(self) -> Ready:
        """Wait until the engine is loaded; raises as :meth:`Worker.wait_ready`."""
        ready = self._worker.wait_ready()
        self.was_ready, self.note = True, ready.note
        return ready

    def abandon(self) -> None:
        """End :meth:`answers`, which another thread takes, with an error; for any thread."""
        self._abandoned = True
        self._worker.kill()

    def answers(self, batches: Iterable[Sequence[Item]]) -> Iterator[Answer]:
        """Yield answers in order; after a loss, one file an answer for a while.

        Raises BackendError if a worker is lost before it is ready, or too many are lost, and
        DeviceLost if the device is replaceable and has failed.
        """
        source, unanswered = iter(batches), deque[Sequence[Item]]()

        def sent() -> Iterator[Sequence[Item]]:
            for items in source:
                unanswered.append(items)
                yield items

        while True:
            self.wait_ready()
            try:
                for answer in self._worker.answers(sent()):
                    unanswered.popleft()
                    yield answer
                self._add_times()
                return
            except WorkerLost as lost:
                self._count(lost)
            yield from self._one_by_one([item for items in unanswered for item in items])
            unanswered.clear()
            self._start()

    def _one_by_one(self, items: Sequence[Item]) -> Iterator[Answer]:
        waiting, tried_again = deque(items), set[int]()
        sentinel_lost, failed = 0, 0
        while waiting:
            self._start(one_by_one=True)
            self.wait_ready()
            try:
                for answer in self._worker.answers([item] for item in tuple(waiting)):
                    waiting.popleft()
                    yield answer
            except WorkerLost as lost:
                self._count(lost)
                if not waiting:
                    return
                item, touched = waiting[0], self._worker.touched
                if self._replaceable and (item.sentinel or failed):
                    raise _device_lost(lost, item) from lost
                if item.sentinel and sentinel_lost < SENTINEL_LOST_AT_MOST:
                    sentinel_lost += 1
                elif not (touched or lost.hung or item.index in tried_again):
                    # The worker had not begun with it: it died of something else.
                    tried_again.add(item.index)
                else:
                    failed += 1
                    self.lost_at.add(item.index)
                    yield _failed(waiting.popleft(), lost, touched)
            else:
                self._add_times()
                self._worker.stop()

    def _start(self, *, one_by_one: bool = False) -> None:
        self.started += 1
        job = replace(self._job, one_by_one=one_by_one)
        extra = 0.0 if one_by_one else SECONDS_AN_IMAGE * job.batch_size * job.tta
        self._worker = Worker(job, job.decode_seconds + extra)
        # Again, now that it is the current one: `abandon` may just have killed the one before it.
        if self._abandoned:
            self._worker.kill()

    def _add_times(self) -> None:
        self.stage_times += self._worker.stage_times
        self.troubles.update(self._worker.troubles)
        if self._worker.lost_at_the_end:
            self.lost.append(f"{self._worker.lost_at_the_end}, all its answers given")

    def _count(self, lost: WorkerLost) -> None:
        self._worker.stop(at_once=True)
        if self._abandoned:
            raise lost
        self.lost.append(lost.in_short)
        if len(self.lost) > (REPLACEABLE_LOST_AT_MOST if self._replaceable else LOST_AT_MOST):
            raise BackendError(
                f"{len(self.lost)} workers were lost in one run, more than a few bad files "
                f"explain.\nThe last: {lost};\nthe same command resumes this run; finished rows "
                "are kept. If workers keep dying, look for what kills them first: too little "
                "memory (fewer --threads, a smaller --batch-size), or a folder of files that "
                "crash decoders"
            ) from lost


def _device_lost(lost: WorkerLost, item: Item) -> DeviceLost:
    at = "at a sentinel" if item.sentinel else "at one file after the other"
    return DeviceLost(
        f"the worker process {lost.in_short}, {at}.\n"
        "Next: hambatch doctor, then run the same command again"
    )


def _failed(item: Item, lost: WorkerLost, touched: Touched | None) -> Answer:
    limit = ", the limit (--decode-seconds)" if lost.hung else ""
    what = "decoded: the decoder" if touched else "read: the reader"
    reason = f"cannot be {what} {lost.cause}{limit}"
    failure = Failure(item.index, touched.sha256 if touched else "", reason)
    return Answer(
        np.empty(0, np.int64), np.empty((0, 7), np.float32), [], [], [failure], by_parent=True
    )
