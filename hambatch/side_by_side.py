"""Several streams at once, each drawn on a thread of its own."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_END = object()

AHEAD = 2
"""Items of a stream that wait to be taken, at most."""


def side_by_side(streams: Sequence[Iterator[T]], abandon: Callable[[], None]) -> Iterator[T]:
    """Yield what the streams give, as it comes; a single one is drawn without a thread.

    Parameters
    ----------
    abandon
        Called when a stream raises, or whoever takes the items does not want more: every stream
        has to end soon then, in whatever way. What was raised first in time is raised here.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    drawn: queue.Queue[object] = queue.Queue(AHEAD * len(streams))
    # Whoever is abandoned raises too: only the first is the reason.
    raised: list[BaseException] = []
    one_at_a_time = threading.Lock()

    def draw(stream: Iterator[T]) -> None:
        try:
            for item in stream:
                drawn.put(item)
        except BaseException as error:
            with one_at_a_time:
                raised.append(error)
            abandon()
        finally:
            drawn.put(_END)

    with ThreadPoolExecutor(len(streams), thread_name_prefix="device") as pool:
        for stream in streams:
            pool.submit(draw, stream)
        left = len(streams)
        try:
            while left:
                item = drawn.get()
                if item is _END:
                    left -= 1
                else:
                    yield item  # type: ignore[misc]
        except BaseException:
            abandon()
            raise
        finally:
            while left:
                left -= drawn.get() is _END
    if raised:
        raise raised[0]
