"""Ctrl-C and SIGTERM: the first lets a run stop in order, the second ends it at once."""

import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from hambatch.errors import Shortage
from hambatch.system.shortages import NO_THREADS

SIGNALS = (signal.SIGINT, signal.SIGTERM)

SECONDS_TO_FINISH = 5.0
"""What work under way may take after the first signal."""

log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """The run stopped after a signal; the message says what was kept."""


def _nothing() -> None:
    """Do nothing."""


class Stop:
    """Whether a signal has requested the run to stop.

    Attributes
    ----------
    requested
        Whether the first signal has come.
    late
        Whether what was under way was abandoned: it took too long.
    hurry
        Called on another thread when ``requested`` is set.
    abandon
        Called there after :data:`SECONDS_TO_FINISH`, and at once where nothing ``is_under_way``.
    """

    requested = late = False
    hurry: Callable[[], None] = staticmethod(_nothing)
    abandon: Callable[[], None] | None = None
    is_under_way: Callable[[], bool] = staticmethod(lambda: True)


@contextmanager
def stopping(finishing: str) -> Iterator[Stop]:
    """Note the first signal in the result, and say so; any later one raises KeyboardInterrupt.

    ``finishing`` says in words what is finished first, such as "the batches under way".
    A signal that is ignored stays so, as a shell wants it of jobs in the background.
    Outside the main thread, where Python allows no handlers, nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            signal.default_int_handler(number, frame)
        stop.requested = True
        came.put(True)

    came: queue.SimpleQueue[bool] = queue.SimpleQueue()  # may be used in handlers of signals
    watcher = threading.Thread(target=_finish, args=(stop, came, finishing), daemon=True)
    try:
        watcher.start()
    except RuntimeError as error:
        raise Shortage(NO_THREADS) from error
    handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in handled}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        came.put(False)
        watcher.join()


def _finish(stop: Stop, came: queue.SimpleQueue[bool], finishing: str) -> None:
    """Wait for a signal; after it, for the end or until what is under way is late."""
    if not came.get():
        return
    if not stop.is_under_way():
        log.warning("stopping: nothing is under way yet")
    else:
        at_most = f" for {SECONDS_TO_FINISH:g} s at most" if stop.abandon else ""
        log.warning("stopping: finishing %s%s; Ctrl-C again stops at once", finishing, at_most)
        stop.hurry()
        with suppress(queue.Empty):
            came.get(timeout=SECONDS_TO_FINISH)
            return
    if stop.abandon:
        stop.late = True
        stop.abandon()
