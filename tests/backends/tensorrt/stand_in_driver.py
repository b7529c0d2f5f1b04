"""A stand-in for ``pycuda.driver`` on host memory: its names and argument orders, and no GPU.

Taken from PyCUDA's ``src/wrapper/wrap_cudadrv.cpp``; a test compares the names with the
listing. Work is done at once, so what is too early is not found here but by
:mod:`tests.backends.tensorrt.host_memory`.
"""

import builtins
import ctypes
from dataclasses import dataclass
from math import prod
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

NON_BLOCKING = 1


@dataclass
class Card:
    """What the driver knows; ``broken`` makes every call fail with those words."""

    memory: int = 1 << 34
    depth: int = 0
    released: int = 0
    allocated: int = 0
    locked: int = 0
    streams: int = 0
    broken: str = ""


def stand_in(card: Card) -> dict[str, ModuleType]:
    """Give the modules ``pycuda`` and ``pycuda.driver``."""
    driver = ModuleType("pycuda.driver")
    package = ModuleType("pycuda")
    package.driver = driver  # type: ignore[attr-defined]
    errors = _errors()
    check = _checked(card, errors)
    parts = [
        errors,
        _contexts(card, check, errors),
        _streams(card, check),
        _memory(card, check, errors),
        _copies(check),
    ]
    for part in parts:
        for name, value in vars(part).items():
            setattr(driver, name, value)
    return {"pycuda": package, "pycuda.driver": driver}


def _errors() -> SimpleNamespace:
    class Error(Exception):
        pass

    class MemoryError(Error, builtins.MemoryError):
        pass

    class LogicError(Error):
        pass

    return SimpleNamespace(Error=Error, MemoryError=MemoryError, LogicError=LogicError)


def _checked(card: Card, errors: SimpleNamespace) -> Any:
    def check() -> None:
        if card.broken:
            raise errors.LogicError(card.broken)
        if not card.depth:
            raise errors.LogicError("invalid device context")

    return check


def _contexts(card: Card, check: Any, errors: SimpleNamespace) -> SimpleNamespace:
    class Context:
        def push(self) -> None:
            card.depth += 1

        @staticmethod
        def pop() -> None:
            if not card.depth:
                raise errors.LogicError("cannot pop non-current context")
            card.depth -= 1

        def detach(self) -> None:
            card.released += 1

    class Device:
        def __init__(self, ordinal: int) -> None:
            if ordinal:
                raise errors.LogicError("invalid device ordinal")

        def retain_primary_context(self) -> Context:
            return Context()

    return SimpleNamespace(Context=Context, Device=Device, init=lambda flags=0: None)


def _streams(card: Card, check: Any) -> SimpleNamespace:
    class event_flags:
        BLOCKING_SYNC = 1
        DISABLE_TIMING = 2

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            check()
            assert flags == NON_BLOCKING
            card.streams += 1
            self.handle = 0x7000 + card.streams

        def synchronize(self) -> None:
            check()

        def wait_for_event(self, event: "Event") -> None:
            check()
            assert event.recorded

    class Event:
        def __init__(self, flags: int = 0) -> None:
            check()
            self.recorded = False
            assert flags == event_flags.BLOCKING_SYNC | event_flags.DISABLE_TIMING

        def record(self, stream: Stream | None = None) -> "Event":
            check()
            assert isinstance(stream, Stream), "recorded on the default stream"
            self.recorded = True
            return self

        def query(self) -> bool:
            check()
            return self.recorded

        def synchronize(self) -> "Event":
            check()
            return self

    return SimpleNamespace(event_flags=event_flags, Stream=Stream, Event=Event)


def _memory(card: Card, check: Any, errors: SimpleNamespace) -> SimpleNamespace:
    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            self._size, self._memory = size, np.empty(size + 256, np.uint8)
            card.allocated += size

        def __int__(self) -> int:
            return -(-self._memory.ctypes.data // 256) * 256

        def free(self) -> None:
            check()
            card.allocated -= self._size

    class PagelockedHostAllocation:
        def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
            self._memory = np.empty(prod(shape), dtype)
            self.__array_interface__ = {**self._memory.__array_interface__, "shape": shape}
            card.locked += self._memory.nbytes

        def free(self) -> None:
            check()
            card.locked -= self._memory.nbytes

    def mem_alloc(size: int) -> DeviceAllocation:
        check()
        if card.allocated + size > card.memory:
            raise errors.MemoryError("cuMemAlloc failed: out of memory")
        return DeviceAllocation(size)

    def pagelocked_empty(
        shape: tuple[int, ...], dtype: Any, order: str = "C", mem_flags: int = 0
    ) -> np.ndarray:
        check()
        return np.asarray(PagelockedHostAllocation(shape, dtype))

    return SimpleNamespace(
        DeviceAllocation=DeviceAllocation,
        PagelockedHostAllocation=PagelockedHostAllocation,
        mem_alloc=mem_alloc,
        pagelocked_empty=pagelocked_empty,
    )


def _copies(check: Any) -> SimpleNamespace:
    def on(stream: Any) -> None:
        check()
        assert stream is not None, "work on the default stream"

    def memset_d8_async(dest: int, data: int, size: int, stream: Any = None) -> None:
        on(stream)
        ctypes.memset(dest, data, size)

    def memcpy_htod_async(dest: int, src: np.ndarray, stream: Any = None) -> None:
        on(stream)
        ctypes.memmove(dest, src.ctypes.data, src.nbytes)

    def memcpy_dtod_async(dest: int, src: int, size: int, stream: Any = None) -> None:
        on(stream)
        ctypes.memmove(dest, src, size)

    def memcpy_dtoh_async(dest: np.ndarray, src: int, stream: Any = None) -> None:
        on(stream)
        ctypes.memmove(dest.ctypes.data, src, dest.nbytes)

    return SimpleNamespace(
        memset_d8_async=memset_d8_async,
        memcpy_htod_async=memcpy_htod_async,
        memcpy_dtod_async=memcpy_dtod_async,
        memcpy_dtoh_async=memcpy_dtoh_async,
    )
