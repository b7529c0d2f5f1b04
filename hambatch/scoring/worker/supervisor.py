"""A worker that may be lost: it is replaced, and the file that it died of gets a failed row."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from hambatch.errors import BackendError
from hambatch.scoring.worker.losses import device_lost, failed_row
from hambatch.scoring.worker.process import Worker, WorkerLost
from hambatch.scoring.worker.protocol import Answer, Job, Ready, StageTimes, Touched
from hambatch.scoring.worker.short_memory import ShortMemory
from hambatch.sources.reading import Item
from hambatch.system.shortages import is_of_the_machine, shortage_at

LOST_AT_MOST = 100
"""Workers that a device may lose for no reason that a file explains; a machine on which workers
keep dying is a bad set-up. A file that kills its decoder explains one or two losses."""

REPLACEABLE_LOST_AT_MOST = 20
"""Fewer for a device whose work others can do."""

SENTINEL_LOST_AT_MOST = 3
"""Workers that may be lost at a sentinel, which cannot be its fault."""

KILLERS = 10
"""Files that may kill their decoder before the run counts as under attack: from then on, files are
decoded one by one, a decoder has less time, and each new process has to score a sentinel first."""

DECODE_SHARE, DECODE_SECONDS_AT_LEAST = 0.2, 5.0
"""Of ``decode_seconds``, what a decoder has then. 100 megapixels take about 3 s."""

CALM = 1000
"""Files in a row without a loss after which batches are tried again: one by one they have
cost about as much as a batch in which a decoder hangs."""

LEFT_AT_MOST = 32
"""Images that a process which stays may still have in its stages, although nobody waits for them
any more; to start another one takes as long as about a hundred."""

SECONDS_AN_IMAGE = 1.0
"""What each image of a batch may take beyond ``decode_seconds``, on the slowest machine."""


class SupervisedWorker:
    """Answers every batch, whatever becomes of the process that computes the answers.

    After a loss the unanswered batches are done one file at a time: the file at which the
    worker is lost again gets a failed answer, every other its own. A sentinel is tried twice.

    Any number of files may kill their decoders. After :data:`KILLERS` of them the files that
    follow are done one by one too, until :data:`CALM` of them have cost no worker.

    Lack of memory, a kill from outside and a disk that does not answer fail no file. When memory
    was short, the files go on with less in flight, in the end one by one on one thread; where that
    is too much, the run ends.

    Where another device can do the work, a device that loses its worker once more at a
    sentinel, or at a second of those files, has failed: two such files in a row are rarer.

    Parameters
    ----------
    lost
        The list to add losses to, where the device has had others before.
    replaceable
        Whether another device can do the work.
    stays
        Whether the process is kept for the next call of :meth:`answers`, of which each counts its
        own losses; :meth:`end` ends it.

    Attributes
    ----------
    job
        What the processes do; with less in flight after memory was short.
    lost
        Why each lost worker was lost, in order.
    lost_at
        Indices of the files that got a failed answer for it.
    started
        Processes so far; answers come from the latest.
    hurried
        Whether files that no decoder has begun are left out from now on.
    was_ready
        Whether one of them had loaded its engine.
    note
        What the latest one's backend notes on how it runs.
    sentinel
        What tries a new process under attack; None: the first sentinel that was sent.
    stage_times
        Where the time of the processes went that answered everything; filled as they end.
    troubles
        How many batches of those processes were not trusted, and why.
    """

    def __init__(
        self,
        job: Job,
        lost: list[str] | None = None,
        *,
        replaceable: bool = False,
        stays: bool = False,
    ) -> None:
        self.job, self._replaceable, self._stays = job, replaceable, stays
        self.lost = [] if lost is None else lost
        self.lost_at: set[int] = set()
        self.started = 0
        self.was_ready, self.note = False, ""
        self.hurried = self._abandoned = False
        self._unexplained, self._calm = 0, 0
        self.sentinel: Item | None = None
        self._sentinel: Item | None = None
        self._proving = self._in_haste = False
        self._is_alone, self._memory = False, ShortMemory()
        self._waiting, self._unanswered = deque[Sequence[Item]](), deque[Sequence[Item]]()
        self._has_ended = False
        self.stage_times, self.troubles = StageTimes(), Counter[str]()
        self._start()

    def __enter__(self) -> "SupervisedWorker":
        """Return the running worker."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Stop whichever process is running."""
        self._worker.stop(at_once=error is not None)

    def wait_ready(self) -> Ready:
        """Wait until the engine is loaded; raises as :meth:`Worker.wait_ready`.

        With less in flight, if memory was short; raises Shortage if that does not help.
        """
        while True:
            try:
                ready = self._worker.wait_ready()
                break
            except WorkerLost as lost:
                if not lost.short or self._replaceable:
                    raise
                self._count(lost)
                if not self._made_leaner():
                    self._memory.wait(lost, "the engine")
                self._start(one_by_one=self._is_alone)
        self.was_ready, self.note = True, ready.note
        return ready

    def hurry(self) -> None:
        """Leave out of :meth:`answers` the files that are not begun; for any thread."""
        self.hurried = True
        self._worker.hurry()

    def abandon(self) -> None:
        """End :meth:`answers`, which another thread takes, with an error; for any thread."""
        self._abandoned = True
        self._worker.kill()

    def end(self) -> None:
        """End the process at once; the next call of :meth:`answers` starts another one."""
        self._has_ended = True
        self._worker.stop(at_once=True)

    def answers(self, batches: Iterable[Sequence[Item]]) -> Iterator[Answer]:
        """Yield answers in order; after a loss, one file an answer for a while.

        Raises BackendError if a worker is lost before it is ready, or too many are lost for no
        reason that a file explains, and DeviceLost if the device is replaceable and has failed.
        """
        if not self._stays:
            yield from self._answers(batches)
            return
        self._begin_anew()
        try:
            yield from self._answers(batches)
        except GeneratorExit:
            self._leave()
            raise
        except BaseException:
            self.end()
            raise

    def _begin_anew(self) -> None:
        """Forget the losses of earlier calls, and start a process where none has stayed."""
        self.lost.clear()
        self.lost_at.clear()
        self._unexplained, self._calm, self._sentinel = 0, 0, None
        self._waiting.clear()
        self._unanswered.clear()
        self.ensure_running()

    def ensure_running(self) -> None:
        """Start a process if the last one has ended, or was killed while it had nothing to do."""
        if not (self._has_ended or self._worker.is_running):
            self.end()
        if self._has_ended:
            self._start()

    def _leave(self) -> None:
        """Keep the process if it is soon done with what nobody waits for any more."""
        if self._is_alone or sum(map(len, self._unanswered)) > LEFT_AT_MOST:
            self.end()
        else:
            self._worker.leave()

    def _answers(self, batches: Iterable[Sequence[Item]]) -> Iterator[Answer]:
        source, unanswered = iter(batches), self._unanswered

        def sent() -> Iterator[Sequence[Item]]:
            while items := self._next_batch(source):
                self._sentinel = self._sentinel or next((i for i in items if i.sentinel), None)
                unanswered.append(items)
                yield items

        while True:
            self.wait_ready()
            try:
                for answer in self._worker.answers(sent(), stays=self._stays):
                    unanswered.popleft()
                    yield answer
                if not self._stays:
                    self._add_times()
                return
            except WorkerLost as lost:
                self._count(lost)
                if lost.short and self._made_leaner() and not self.hurried:
                    self._waiting.extendleft(reversed(unanswered))
                    unanswered.clear()
                    self._start()
                    continue
            yield from self._one_by_one(self._alone(unanswered, source))
            # No process is started for nothing.
            items = () if self.hurried else self._next_batch(source)
            if not items:
                return
            self._waiting.appendleft(items)
            self._start()

    def _next_batch(self, source: Iterator[Sequence[Item]]) -> Sequence[Item]:
        """Take what is to be sent next, a part of a batch that was made with more memory; or ()."""
        items = self._waiting.popleft() if self._waiting else next(source, ())
        size = self.job.batch_size
        if len(items) > size:
            self._waiting.appendleft(items[size:])
        return items[:size]

    def _made_leaner(self) -> bool:
        """Let later workers have less in flight; False if they have as little as possible."""
        leaner = self._memory.leaner(self.job)
        self.job = leaner or self.job
        return leaner is not None

    def _alone(
        self, unanswered: deque[Sequence[Item]], source: Iterator[Sequence[Item]]
    ) -> Iterator[Item]:
        """Take the files of unanswered batches, and under attack those that follow."""
        while unanswered and not self.hurried:
            yield from unanswered.popleft()
        careful = self._attacked or self._memory.cramped
        while careful and not self.hurried and self._calm < CALM:
            items = self._next_batch(source)
            if not items:
                return
            yield from items

    @property
    def _attacked(self) -> bool:
        return len(self.lost_at) >= KILLERS

    def _one_by_one(self, items: Iterator[Item]) -> Iterator[Answer]:
        waiting, tried_again = deque(islice(items, 1)), set[int]()
        sentinel_lost, proofs_lost, failed = 0, 0, 0
        while waiting:
            self._start(one_by_one=True)
            self.wait_ready()
            try:
                yield from self._answers_one_by_one(waiting, items)
            except WorkerLost as lost:
                self._count(lost)
                if not waiting:
                    return
                item, touched = waiting[0], self._worker.touched
                if (lost.short or lost.killed) and not self._replaceable:
                    if not (lost.short and self._made_leaner()):
                        self._memory.wait(lost, item.path)
                    continue
                if self._replaceable and (item.sentinel or failed):
                    raise device_lost(lost, item) from lost
                proofs_lost = proofs_lost + 1 if self._proving else 0
                if proofs_lost > SENTINEL_LOST_AT_MOST:
                    raise self._bad_machine(lost) from lost
                if self._proving:
                    continue
                if item.sentinel and sentinel_lost < SENTINEL_LOST_AT_MOST:
                    sentinel_lost += 1
                elif not touched and item.index not in tried_again:
                    # The worker had not begun with it: it was lost for something else.
                    tried_again.add(item.index)
                elif (lost.hung or lost.crashed) and not (touched or self._replaceable):
                    self._memory.wait(lost, item.path)  # no content makes reading hang or crash
                else:
                    failed += 1
                    self._blame(item, touched, first=failed == 1)
                    after = KILLERS if self._in_haste else 0
                    yield failed_row(waiting.popleft(), lost, touched, after)
                    waiting.extend(islice(items, 1))
            else:
                self._add_times()
                self._worker.stop()
                self._has_ended = True

    def _answers_one_by_one(self, waiting: deque[Item], items: Iterator[Item]) -> Iterator[Answer]:
        """Answer what waits, then item after item; what is not answered yet waits."""
        proof = self._sentinel or self.sentinel
        self._proving = self._attacked and proof is not None

        def sent() -> Iterator[Sequence[Item]]:
            if self._proving and proof:
                yield [proof]
            while waiting:
                yield tuple(waiting)

        # One at a time is sent, so that the next one is drawn after the answer.
        for answer in self._worker.answers(sent()):
            if self._proving:
                self._proving = False
                continue
            self._calm += 1
            self._memory.answered()
            waiting.popleft()
            yield answer
            waiting.extend(islice(items, 1))

    def _start(self, *, one_by_one: bool = False) -> None:
        self.started, self._is_alone, self._has_ended = self.started + 1, one_by_one, False
        job = replace(self.job, one_by_one=one_by_one)
        times = job.tta * (2 if job.double_check else 1)
        extra = 0.0 if one_by_one else SECONDS_AN_IMAGE * job.batch_size * times
        alone = self._seconds_to_decode()
        self._in_haste = alone < job.decode_seconds
        try:
            self._worker = Worker(job, job.decode_seconds + extra, alone)
        except OSError as error:
            if not is_of_the_machine(error):
                raise
            raise shortage_at("a worker process", error, "started") from error
        # Again, now that it is the current one: `abandon` may just have killed the one before it.
        if self._abandoned:
            self._worker.kill()
        if self.hurried:
            self._worker.hurry()

    def _seconds_to_decode(self) -> float:
        """Seconds for a file that is decoded alone."""
        seconds = self.job.decode_seconds
        if not self._attacked:
            return seconds
        return min(seconds, max(DECODE_SHARE * seconds, DECODE_SECONDS_AT_LEAST))

    def _add_times(self) -> None:
        self.stage_times += self._worker.stage_times
        self.troubles.update(self._worker.troubles)
        if self._worker.lost_at_the_end:
            self.lost.append(f"{self._worker.lost_at_the_end}, all its answers given")

    def _count(self, lost: WorkerLost) -> None:
        self._worker.stop(at_once=True)
        self._has_ended = True
        if self._abandoned:
            raise lost
        self.lost.append(lost.in_short)
        self._memory.count(self._calm)
        self._calm = 0
        if lost.short:
            return
        self._unexplained += 1
        too_many = len(self.lost) > REPLACEABLE_LOST_AT_MOST if self._replaceable else False
        if too_many or self._unexplained > LOST_AT_MOST:
            raise self._bad_machine(lost) from lost

    def _blame(self, item: Item, touched: Touched | None, *, first: bool) -> None:
        """Note a file that gets a failed answer; one that was being decoded explains the loss.

        The first one also explains the loss of the worker that had it in a batch.
        """
        self.lost_at.add(item.index)
        if touched and not item.sentinel:
            self._unexplained = max(0, self._unexplained - (2 if first else 1))

    def _bad_machine(self, lost: WorkerLost) -> BackendError:
        return BackendError(
            f"{len(self.lost)} workers were lost in one run, more than bad files "
            f"explain.\nThe last: {lost};\nthe same command resumes this run; finished rows "
            "are kept. If workers keep dying, look for what kills them first: too little "
            "memory (fewer --threads, a smaller --batch-size), or a disk that does not answer"
        )
