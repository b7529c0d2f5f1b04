"""A GPU through PyCUDA: the device's primary context, which DALI and TensorRT use too.

``pycuda.autoinit`` would make a second one, in which their pointers mean nothing. PyCUDA
aborts a process that ends with a context pushed, so each is popped where it was pushed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.tensorrt.device import PinnedArray
from hambatch.errors import BackendError, DeviceLost, OutOfMemory
from hambatch.system.packages import require
from hambatch.types import Event

if TYPE_CHECKING:
    from pycuda import driver

NON_BLOCKING = 1
"""``CU_STREAM_NON_BLOCKING``, for which PyCUDA has no name: the stream does not wait for the
default stream, nor that one for it."""

NEXT = "Next: hambatch doctor, or run again with --backend openvino"


@contextmanager
def _reported(doing: str) -> Iterator[None]:
    """Turn PyCUDA's errors into ours."""
    from pycuda import driver

    try:
        yield
    except driver.MemoryError as error:
        raise OutOfMemory(
            f"the GPU's memory is full ({doing}: {error}).\n"
            "Next: end other programs on it (nvidia-smi), or run again with --backend openvino"
        ) from error
    except driver.Error as error:
        # Most of them are sticky: every later call on this context fails too.
        raise DeviceLost(f"the GPU failed ({doing}: {error}).\n{NEXT}") from error


class PyCudaEvent:
    """A CUDA event without a time stamp, whose waiting leaves the core to others."""

    def __init__(self, stream: "driver.Stream") -> None:
        from pycuda import driver

        flags = driver.event_flags
        self.event = driver.Event(int(flags.BLOCKING_SYNC) | int(flags.DISABLE_TIMING))
        self.event.record(stream)

    def has_passed(self) -> bool:
        """Query the driver; it does not wait."""
        with _reported("querying an event"):
            return self.event.query()

    def wait(self) -> None:
        """Sleep until the driver wakes it."""
        with _reported("waiting for an event"):
            self.event.synchronize()


class PyCudaPinned:
    """Page-locked memory, as an array over it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        from pycuda import driver

        self.array: NDArray[np.float32] = driver.pagelocked_empty(shape, np.float32)

    def read(self) -> NDArray[np.float32]:
        """Give the array itself."""
        return self.array

    def free(self) -> None:
        """Unlock the memory; the array must not be touched any more."""
        with _reported("freeing page-locked memory"):
            # PyCUDA hangs what holds the memory on the array.
            cast("driver.PagelockedHostAllocation", self.array.base).free()


class PyCudaStream:
    """A stream of its own."""

    def __init__(self) -> None:
        from pycuda import driver

        self._stream = driver.Stream(NON_BLOCKING)

    @property
    def handle(self) -> int:
        """The ``cudaStream_t``."""
        return self._stream.handle

    def record(self) -> PyCudaEvent:
        """Make an event for each mark: none is recorded twice."""
        with _reported("recording an event"):
            return PyCudaEvent(self._stream)

    def wait_for(self, event: Event) -> None:
        """Order later work behind another stream's event; the host does not wait."""
        with _reported("ordering streams"):
            self._stream.wait_for_event(cast(PyCudaEvent, event).event)

    def clear(self, target: int, size: int) -> None:
        """Set bytes to 0."""
        from pycuda import driver

        with _reported("clearing memory"):
            driver.memset_d8_async(target, 0, size, self._stream)

    def copy_to_device(self, target: int, source: NDArray[np.uint8]) -> None:
        """Upload; from memory that is not page-locked the driver takes a copy first."""
        from pycuda import driver

        with _reported("uploading images"):
            driver.memcpy_htod_async(target, source, self._stream)

    def copy_on_device(self, target: int, source: int, size: int) -> None:
        """Copy within the device."""
        from pycuda import driver

        with _reported("copying images"):
            driver.memcpy_dtod_async(target, source, size, self._stream)

    def copy_to_host(self, target: PinnedArray, source: int) -> None:
        """Download into page-locked memory."""
        from pycuda import driver

        with _reported("downloading scores"):
            driver.memcpy_dtoh_async(cast(PyCudaPinned, target).array, source, self._stream)

    def synchronize(self) -> None:
        """Wait for all that was queued."""
        with _reported("waiting for a stream"):
            self._stream.synchronize()

    def close(self) -> None:
        """Let PyCUDA destroy it, with the last reference."""
        del self._stream


class PyCudaDevice:
    """One GPU, by its ordinal; to be used and closed on the thread that made it.

    PyCUDA destroys what belongs to a context on that context's own thread only.
    """

    def __init__(self, ordinal: int) -> None:
        try:
            require("pycuda.driver", extra="gpu", purpose="The tensorrt backend")
        except (ImportError, OSError) as error:
            # Built for another CUDA, or without the driver's library.
            why = f"PyCUDA is installed but does not load: {error}"
            raise BackendError(f"{why}.\n{NEXT}") from error
        from pycuda import driver

        with _reported(f"opening GPU {ordinal}"):
            driver.init()
            self._context: driver.Context | None = driver.Device(ordinal).retain_primary_context()
        self._allocations: dict[int, driver.DeviceAllocation] = {}

    @contextmanager
    def current(self) -> Iterator[None]:
        """Push the context for the body, and pop it, whatever happens."""
        from pycuda import driver

        if self._context is None:
            raise BackendError(f"a GPU was used after it was closed.\n{NEXT}")
        with _reported("taking the GPU's context"):
            self._context.push()
        try:
            yield
        finally:
            driver.Context.pop()

    def allocate(self, size: int) -> int:
        """Reserve device memory."""
        from pycuda import driver

        with _reported(f"reserving {size} bytes"):
            allocation = driver.mem_alloc(size)
        pointer = int(allocation)
        self._allocations[pointer] = allocation
        return pointer

    def free(self, pointer: int) -> None:
        """Give device memory back."""
        with _reported("freeing memory"):
            self._allocations.pop(pointer).free()

    def pinned(self, shape: tuple[int, ...]) -> PyCudaPinned:
        """Reserve page-locked memory."""
        with _reported(f"reserving page-locked memory for {shape}"):
            return PyCudaPinned(shape)

    def stream(self) -> PyCudaStream:
        """Start a stream."""
        with _reported("starting a stream"):
            return PyCudaStream()

    def close(self) -> None:
        """Release the primary context; the driver ends it with the last who holds it."""
        context, self._context = self._context, None
        if context is not None:
            with _reported("releasing the GPU"):
                context.detach()
