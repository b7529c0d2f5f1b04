"""Where workers are lost for lack of memory: less in flight, waits, and in the end an error."""

import logging
import time
from dataclasses import replace
from pathlib import Path

from hambatch.scoring.worker.losses import too_little
from hambatch.scoring.worker.process import WorkerLost
from hambatch.scoring.worker.protocol import Job

log = logging.getLogger(__name__)

SHORT_WAITS = (0.2, 1.0)
"""Seconds before a file is tried again that was done alone, and whose worker lacked memory, was
killed from outside or could not read; after the last of them the run ends."""

SHORT_AT_MOST = 8
"""Such losses in all, without :data:`SHORT_APART` files between two of them, after which the run
ends: going on would take very long."""

SHORT_APART = 100
"""Files in a row without a loss that show that there is enough memory."""

LEANER_BY = 4
"""What batches, streams and threads are divided by when memory is short."""


class ShortMemory:
    """What is to be done after a loss for lack of memory; it counts those of one supervisor.

    Attributes
    ----------
    cramped
        Whether one image on one thread was too much already.
    """

    def __init__(self) -> None:
        self.cramped = False
        self._in_a_row = self._losses = 0

    def leaner(self, job: Job) -> Job | None:
        """Give a job with less in flight; None if it has one image on one thread, or a GPU."""
        if job.gpu is not None:
            return None
        in_flight = "batch_size", "streams", "decode_threads"
        fewer = {name: max(1, getattr(job, name) // LEANER_BY) for name in in_flight}
        self.cramped = all(getattr(job, name) == 1 for name in in_flight)
        if self.cramped:
            return None
        log.warning(
            "memory is short: going on with batch_size %d, streams %d, decode_threads %d",
            *fewer.values(),
        )
        return replace(job, prefetch=1, readers=1, **fewer)

    def wait(self, lost: WorkerLost, what: Path | str) -> None:
        """Wait before the same is tried once more; raises Shortage after the last time."""
        self._losses += 1
        if self._in_a_row >= len(SHORT_WAITS) or self._losses > SHORT_AT_MOST:
            raise too_little(lost, what) from lost
        time.sleep(SHORT_WAITS[self._in_a_row])
        self._in_a_row += 1

    def answered(self) -> None:
        """Note that a file which was decoded alone got its answer."""
        self._in_a_row = 0

    def count(self, calm: int) -> None:
        """Note a loss after ``calm`` files in a row without one; it may be of any cause."""
        if calm >= SHORT_APART:
            self._losses = 0
