"""How far a long computation is: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

LOG_EVERY_S = 30.0

log = logging.getLogger(__name__)


def log_to(stream: TextIO | None, *, quiet: bool = False) -> None:
    """Show what training logs, one timed line each; None: leave it to what shows all logs."""
    package = logging.getLogger("hambatch.training")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    package.handlers = [handler] if stream else []
    package.setLevel(logging.WARNING if quiet else logging.INFO)
    package.propagate = stream is None


class Pace:
    """How long ``total`` units of work take at the pace of those that are done."""

    def __init__(self, total: float) -> None:
        self._total = total
        self._start = self._logged = time.monotonic()

    def is_line_due(self) -> bool:
        """Whether the last line in the log is old enough for the next one."""
        now = time.monotonic()
        if now - self._logged < LOG_EVERY_S:
            return False
        self._logged = now
        return True

    def elapsed_s(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._start

    def left_s(self, done: float) -> float:
        """Estimate the time that the rest takes; ``done`` is above 0."""
        return self.elapsed_s() / done * (self._total - done)


def progress(
    blocks: Iterable[NDArray[np.float32]], total: int, what: str
) -> Iterator[NDArray[np.float32]]:
    """Pass blocks on and count their rows, on stderr; ``total`` rows are to come."""
    if total == 0:
        return
    done, pace = 0, Pace(total)
    with tqdm(total=total, desc=what, unit="image", disable=not sys.stderr.isatty()) as bar:
        for block in blocks:
            yield block
            done += len(block)
            bar.update(len(block))
            if bar.disable and (pace.is_line_due() or done == total):
                log.info("%s: %d of %d images, %.0f s left", what, done, total, pace.left_s(done))
