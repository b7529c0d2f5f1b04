"""What the backend needs of a GPU: memory, copies, streams, events. PyCUDA provides it.

Small, so that the same loop runs on host memory in the tests. Pointers are plain
integers, as DALI and TensorRT want them. Everything but :meth:`Event.has_passed`
and the waiting only queues work: what a copy reads must live, and what it writes
must be left alone, until an event that was recorded after it has passed.
"""

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.types import Event

ALIGNMENT = 256
"""Bytes that TensorRT wants addresses to be a multiple of; :meth:`Device.allocate` keeps to it."""


class PinnedArray(Protocol):
    """Page-locked host memory: copies into it do not hold up the host."""

    def read(self) -> NDArray[np.float32]:
        """Give the memory itself; only after the event behind the copy has passed."""

    def free(self) -> None:
        """Give it back."""


class Stream(Protocol):
    """Work that is done in the order in which it was queued; never the default stream [1]_.

    References
    ----------
    .. [1] TensorRT's ``enqueueV3``: on the default stream it synchronises the device more often.
    """

    @property
    def handle(self) -> int:
        """The ``cudaStream_t``; never 0."""

    def record(self) -> Event:
        """Mark the work that was queued so far."""

    def wait_for(self, event: Event) -> None:
        """Let work that is queued from now on wait for an event of another stream."""

    def clear(self, target: int, size: int) -> None:
        """Set ``size`` bytes to 0."""

    def copy_to_device(self, target: int, source: NDArray[np.uint8]) -> None:
        """Copy a C-contiguous host array."""

    def copy_on_device(self, target: int, source: int, size: int) -> None:
        """Copy ``size`` bytes from one place of the device to another."""

    def copy_to_host(self, target: PinnedArray, source: int) -> None:
        """Fill ``target`` from the device."""

    def synchronize(self) -> None:
        """Block until all that was queued is done."""

    def close(self) -> None:
        """Give the stream back; nothing may be queued."""


class Device(Protocol):
    """One GPU. All calls, but for :meth:`close`, need its context current on the calling thread."""

    def current(self) -> AbstractContextManager[None]:
        """Make its context current on this thread, for the body of a ``with``."""

    def allocate(self, size: int) -> int:
        """Reserve bytes, aligned to :data:`ALIGNMENT`; raises OutOfMemory if they are not left."""

    def free(self, pointer: int) -> None:
        """Give back what :meth:`allocate` gave."""

    def pinned(self, shape: tuple[int, ...]) -> PinnedArray:
        """Reserve a page-locked float32 array; raises OutOfMemory if the host will not lock it."""

    def stream(self) -> Stream:
        """Start a stream of its own."""

    def close(self) -> None:
        """Let go of the device; all memory and streams have been given back before."""
