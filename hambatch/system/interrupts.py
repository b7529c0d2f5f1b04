"""Ctrl-C and SIGTERM while a run goes on: the first asks, the second insists."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The run stopped because it was asked to; the message says what was kept."""


class Stop:
    """Whether somebody has asked the run to stop."""

    requested = False


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let the first signal be noted in the result, and any later one raise KeyboardInterrupt.

    A signal that is ignored stays so, as a shell wants it of jobs in the
    background. Outside the main thread, where Python allows no handlers,
    nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            signal.default_int_handler(number, frame)
        stop.requested = True

    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, ask) for number in heard}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
