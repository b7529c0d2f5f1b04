"""Several streams at once, each drawn on a thread of its own."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

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
    drawing = _Drawing(len(streams), abandon)
    with ThreadPoolExecutor(len(streams), thread_name_prefix="device") as pool:
        for stream in streams:
            pool.submit(drawing.draw, stream)
        try:
            yield from drawing.items()
        except BaseException:
            abandon()
            raise
        finally:
            drawing.wait()
    if drawing.raised:
        raise drawing.raised[0]


class _Drawing:
    """What is drawn on several threads and taken on one; ``raised`` is in the order of time."""

    def __init__(self, streams: int, abandon: Callable[[], None]) -> None:
        self.raised: list[BaseException] = []
        self._left, self._abandon = streams, abandon
        self._drawn: queue.Queue[object] = queue.Queue(AHEAD * streams)
        self._one_at_a_time = threading.Lock()

    def draw(self, stream: Iterator[Any]) -> None:
        """Draw all of a stream, on a thread of its own."""
        try:
            for item in stream:
                self._drawn.put(item)
        except BaseException as error:
            # Whoever is abandoned raises too: only the first is the reason.
            with self._one_at_a_time:
                self.raised.append(error)
            self._abandon()
        finally:
            self._drawn.put(_END)

    def items(self) -> Iterator[Any]:
        """Give what is drawn, until every stream has ended."""
        while self._left:
            item = self._drawn.get()
            if item is _END:
                self._left -= 1
            else:
                yield item

    def wait(self) -> None:
        """Drop what is still drawn, so that every stream can end."""
        while self._left:
            self._left -= self._drawn.get() is _END
