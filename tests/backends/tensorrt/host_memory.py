"""A device made of host memory, on which mistakes in the use of a GPU are failures.

Its pointers are real addresses. Every stream is a thread, so work is late in truth; what is
too early is found by :mod:`tests.backends.tensorrt.ordering` all the same, and not by luck.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

import numpy as np

from hambatch.backends.tensorrt.device import ALIGNMENT
from hambatch.errors import OutOfMemory
from hambatch.types import DeviceImages
from tests.backends.tensorrt.host_stream import HostEvent, HostStream
from tests.backends.tensorrt.ordering import Clock, Fault, Region, knows, merged


class HostPinned:
    """An array that is NaN from the moment a copy into it is queued until it is done."""

    def __init__(self, device: "HostDevice", shape: tuple[int, ...]) -> None:
        self._device = device
        self.array = np.full(shape, np.nan, np.float32)
        self.region = Region("page-locked memory", self.array.ctypes.data, self.array.nbytes)

    def read(self) -> np.ndarray:
        self.region.check(self._device.host, writing=False)
        self.region.unread = False
        return self.array

    def free(self) -> None:
        self._device.check_usable()
        self.region.check(self._device.host, writing=True)
        self.region.freed = True


class HostDevice:
    """``memory`` bytes can be allocated."""

    def __init__(self, memory: int = 1 << 40) -> None:
        self.host: Clock = {}
        self.streams: dict[int, HostStream] = {}
        self.closed = False
        self._left = memory
        self._regions: list[Region] = []
        self._pinned: list[HostPinned] = []
        self._sources: dict[int, Region] = {}
        self._unreported: list[str] = []
        self._here = threading.local()

    @contextmanager
    def current(self) -> Iterator[None]:
        if self.closed:
            raise Fault("the device was used after it was closed")
        self._here.depth = getattr(self._here, "depth", 0) + 1
        try:
            yield
        finally:
            self._here.depth -= 1

    def check_usable(self) -> None:
        """Fail without a current context, or if something went wrong unseen."""
        if self._unreported:
            raise Fault("; ".join(self._unreported))
        if not getattr(self._here, "depth", 0):
            raise Fault("a call on a thread without the device's context")

    def learn(self, clock: Clock) -> None:
        """Keep what the host has waited for."""
        self.host = merged(self.host, clock)

    def allocate(self, size: int) -> int:
        self.check_usable()
        if size > self._left:
            raise OutOfMemory(f"{size} bytes wanted, {self._left} left.\nNext: none")
        self._left -= size
        memory = np.full(size + ALIGNMENT, 0xA5, np.uint8)
        pointer = -(-memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        # What is freed stays here, so that its addresses do not come back as others' memory.
        self._regions.append(Region("device memory", pointer, size, memory))
        return pointer

    def free(self, pointer: int) -> None:
        self.check_usable()
        region = self.find(pointer, 0)
        if region.pointer != pointer or region.memory is None:
            raise Fault("what was freed was not allocated")
        region.check(self.host, writing=True)
        region.freed = True
        self._left += region.size

    def find(self, pointer: int, size: int) -> Region:
        """Give the memory that ``size`` bytes from ``pointer`` on are in."""
        for region in reversed(self._regions):
            if region.pointer <= pointer < region.pointer + region.size:
                if region.freed:
                    raise Fault(f"{region.what} was used after it was freed")
                if pointer + size > region.pointer + region.size:
                    rest = region.pointer + region.size - pointer
                    raise Fault(f"out of bounds: {size} bytes, where {rest} are left")
                return region
        raise Fault(f"{pointer:#x} was never allocated")

    def pinned(self, shape: tuple[int, ...]) -> HostPinned:
        self.check_usable()
        self._pinned.append(HostPinned(self, shape))
        return self._pinned[-1]

    def stream(self) -> HostStream:
        self.check_usable()
        stream = HostStream(self)
        self.streams[stream.handle] = stream
        return stream

    def stream_of(self, handle: int) -> HostStream:
        """Find a stream by its handle, as TensorRT does."""
        if handle == 0:
            raise Fault("work on the default stream")
        if handle not in self.streams:
            raise Fault(f"{handle} is no stream of this device")
        return self.streams[handle]

    def decoded(
        self, images: np.ndarray, ready: HostEvent | None = None, shift: int = 0
    ) -> DeviceImages:
        """Give images as another library leaves them on the device: its memory, not ours.

        Their address is aligned, and then moved by ``shift`` bytes.
        """
        owner = np.empty(images.nbytes + 2 * ALIGNMENT, np.uint8)
        first = -owner.ctypes.data % ALIGNMENT + shift
        owner[first : first + images.nbytes] = images.ravel()
        region = Region("memory of decoded images", owner.ctypes.data + first, images.nbytes)
        self._regions.append(region)
        weakref.finalize(owner, self._gone, region)
        if ready:
            region.written = ready.mark
        return DeviceImages(region.pointer, images.shape, owner, ready)

    def source(self, array: np.ndarray) -> Region:
        """Follow an array of the host that is copied from."""
        if id(array) not in self._sources:
            region = Region("an uploaded array", array.ctypes.data, array.nbytes)
            self._sources[id(array)] = region
            weakref.finalize(array, self._gone, region, id(array))
        return self._sources[id(array)]

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        owned = [region for region in self._regions if region.memory is not None]
        leaks = {
            "bytes of device memory": sum(r.size for r in owned if not r.freed),
            "bytes of page-locked memory": sum(
                4 * prod(p.array.shape) for p in self._pinned if not p.region.freed
            ),
            "streams": len(self.streams),
        }
        left = [f"{count} {what}" for what, count in leaks.items() if count]
        if left:
            raise Fault(f"leaked: {', '.join(left)}")
        if self._unreported:
            raise Fault("; ".join(self._unreported))

    def _gone(self, region: Region, key: int | None = None) -> None:
        # A failure here would be lost in the collector; the next call reports it.
        if not all(knows(self.host, *read) for read in region.reads.items()):
            self._unreported.append(
                f"{region.what} was let go before the event behind its last read"
            )
        region.freed = True
        if key is not None:
            del self._sources[key]
