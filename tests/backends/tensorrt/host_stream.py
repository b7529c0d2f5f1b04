"""A stream that is a thread, and its events."""

import itertools
import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from ctypes import memmove, memset
from typing import TYPE_CHECKING

import numpy as np

from hambatch.errors import DeviceLost
from tests.backends.tensorrt.ordering import Clock, Fault, Region, knows, merged
from tests.waiting import HANGS_S

if TYPE_CHECKING:
    from tests.backends.tensorrt.host_memory import HostDevice, HostPinned

HANDLES = itertools.count(0x51000, 0x100)


class HostEvent:
    """Knows all that happened before it was recorded."""

    def __init__(self, stream: "HostStream", clock: Clock) -> None:
        self._stream, self.clock = stream, clock
        self.mark = stream.handle, stream.count
        self.passed = threading.Event()

    def has_passed(self) -> bool:
        if not self.passed.is_set():
            return False
        self.wait()
        return True

    def wait(self) -> None:
        if not self.passed.wait(HANGS_S):
            raise Fault("an event never passed")
        self._stream.device.learn(self.clock)
        self._stream.raise_failure()


class HostStream:
    """Does its work in order, late, on a thread of its own."""

    def __init__(self, device: "HostDevice") -> None:
        self.device = device
        self.handle = next(HANDLES)
        self.count = 0
        self._known: Clock = {}
        self._failure: Exception | None = None
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Callable[[], object],
        reads: Sequence[Region] = (),
        writes: Sequence[Region] = (),
        at_once: Callable[[], object] = bool,
    ) -> None:
        """Check that work may be queued here and now; then queue it."""
        self.device.check_usable()
        clock = merged(self.device.host, self._known, {self.handle: self.count})
        for region in reads:
            region.check(clock, writing=False)
        for region in writes:
            region.check(clock, writing=True)
        at_once()
        self.count += 1
        for region in reads:
            region.note(self.handle, self.count, writing=False)
        for region in writes:
            region.note(self.handle, self.count, writing=True)
        self._work.put(work)

    def record(self) -> HostEvent:
        self.device.check_usable()
        clock = merged(self.device.host, self._known, {self.handle: self.count})
        event = HostEvent(self, clock)
        self._work.put(event.passed.set)
        return event

    def wait_for(self, event: HostEvent) -> None:
        self.device.check_usable()
        self._known = merged(self._known, event.clock)
        self._work.put(lambda: event.passed.wait(HANGS_S))

    def clear(self, target: int, size: int) -> None:
        self.submit(lambda: memset(target, 0, size), writes=[self.device.find(target, size)])

    def copy_to_device(self, target: int, source: np.ndarray) -> None:
        if not source.flags.c_contiguous:
            raise Fault("the source of a copy has gaps")
        place, size = self.device.find(target, source.nbytes), source.nbytes
        held = weakref.ref(source)

        def work() -> None:
            array = held()
            if array is not None:
                memmove(target, array.ctypes.data, size)

        self.submit(work, [self.device.source(source)], [place])

    def copy_on_device(self, target: int, source: int, size: int) -> None:
        regions = self.device.find(source, size), self.device.find(target, size)
        self.submit(lambda: memmove(target, source, size), [regions[0]], [regions[1]])

    def copy_to_host(self, target: "HostPinned", source: int) -> None:
        size = target.array.nbytes
        place = self.device.find(source, size)
        if target.region.unread:
            raise Fault("page-locked memory was overwritten before it was read")
        self.submit(
            lambda: memmove(target.array.ctypes.data, source, size),
            [place],
            [target.region],
            at_once=lambda: target.array.fill(np.nan),
        )
        target.region.unread = True

    def synchronize(self) -> None:
        self.record().wait()

    def close(self) -> None:
        self.device.check_usable()
        if not knows(self.device.host, self.handle, self.count):
            raise Fault("a stream was closed with work that was not waited for")
        self._work.put(None)
        self._thread.join(HANGS_S)
        del self.device.streams[self.handle]

    def raise_failure(self) -> None:
        if self._failure:
            raise DeviceLost(f"the device failed: {self._failure}.\nNext: none")

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception as error:
                # As on a GPU: it is raised where a call waits, and then always.
                self._failure = error
