"""Ctrl-C and SIGTERM: the first lets a run stop in order, the second ends it at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The run stopped after a signal; the message says what was kept."""


class Stop:
    """Whether a signal has requested the run to stop."""

    requested = False


@contextmanager
def stopping() -> Iterator[Stop]:
    """Note the first signal in the result; any later one raises KeyboardInterrupt.

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

    handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, note) for number in handled}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
