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


def log_to(stream: TextIO) -> None:
    """Show what training logs, one timed line each."""
    package = logging.getLogger("hambatch.training")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    package.handlers = [handler]
    package.setLevel(logging.INFO)
    package.propagate = False


def progress(
    blocks: Iterable[NDArray[np.float32]], total: int, what: str
) -> Iterator[NDArray[np.float32]]:
    """Pass blocks on and count their rows, on stderr; ``total`` rows are to come."""
    if total == 0:
        return
    done, start = 0, time.monotonic()
    logged = start
    with tqdm(total=total, desc=what, unit="image", disable=not sys.stderr.isatty()) as bar:
        for block in blocks:
            yield block
            done += len(block)
            bar.update(len(block))
            now = time.monotonic()
            if bar.disable and (now - logged > LOG_EVERY_S or done == total):
                logged = now
                left_s = (now - start) / done * (total - done)
                log.info("%s: %d of %d images, %.0f s left", what, done, total, left_s)
