"""An "engine" for the host-memory device: the same ONNX, executed by OpenVINO."""

import ctypes
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from hambatch.backends.openvino_compile import How, compile_copies
from hambatch.backends.tensorrt.device import ALIGNMENT
from hambatch.backends.tensorrt.slot import RequestForm
from hambatch.engines.loading import Engine
from tests.backends.tensorrt.host_memory import HostDevice
from tests.backends.tensorrt.ordering import Fault, Region

SCRATCH_PER_IMAGE = 1024
"""Bytes: so that what a context needs depends on the request, as with TensorRT."""


def form_of(engine: Engine, size: int) -> RequestForm:
    spec = engine.manifest.input
    widths = {"logits": len(engine.manifest.classes), "features": 2048}
    return RequestForm(size, spec.name, (spec.height, spec.width, 3), widths)


def view(pointer: int, shape: tuple[int, ...], kind: type[np.generic]) -> np.ndarray:
    """Look at memory as an array."""
    size = prod(shape) * np.dtype(kind).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(pointer), kind).reshape(shape)


class HostEngine:
    """Makes contexts; ``before`` is called on a stream's thread before each execution."""

    def __init__(
        self,
        device: HostDevice,
        engine: Engine,
        precision: str = "fp32",
        before: Callable[[], object] = bool,
    ) -> None:
        self.device, self.before = device, before
        self.queued = 0
        self.inputs: list[int] = []
        self._engine, self._precision = engine, precision
        self._compiled: dict[int, Any] = {}

    def make_context(self) -> "HostContext":
        return HostContext(self)

    def compiled(self, size: int) -> Any:
        if size not in self._compiled:
            how = How(1, 1, size)
            (self._compiled[size],) = compile_copies(self._engine, self._precision, how)
        return self._compiled[size]


class HostContext:
    """Executes one request at a time, and insists on it."""

    def __init__(self, engine: HostEngine) -> None:
        self._engine, self._device = engine, engine.device
        self._state = Region("an execution context", 0, 0)
        self._addresses: dict[str, int] = {}
        self._scratch: tuple[int, int] | None = None

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._form = form_of(self._engine._engine, shape[0])
        self._request = self._engine.compiled(shape[0]).create_infer_request()

    def update_device_memory_size_for_shapes(self) -> int:
        return SCRATCH_PER_IMAGE * self._shape[0]

    def set_device_memory(self, memory: int, size: int) -> None:
        self._device.find(memory, size)
        self._scratch = memory, size

    def set_tensor_address(self, name: str, memory: int) -> None:
        if memory % ALIGNMENT:
            raise Fault(f"the address of {name} is not aligned to {ALIGNMENT} bytes")
        self._device.find(memory, self._bytes_of(name))
        self._addresses[name] = memory

    def execute_async_v3(self, stream_handle: int) -> None:
        self._device.check_usable()
        stream = self._device.stream_of(stream_handle)
        missing = {self._form.input, *self._form.widths} - set(self._addresses)
        if missing or not self._scratch:
            raise Fault(f"executed without {sorted(missing) or 'scratch memory'}")
        images, *outputs = (
            self._device.find(self._addresses[name], self._bytes_of(name))
            for name in (self._form.input, *self._form.widths)
        )
        scratch = self._device.find(*self._scratch)
        addresses = dict(self._addresses)
        stream.submit(lambda: self._execute(addresses), [images], [*outputs, scratch, self._state])
        self._engine.queued += 1
        self._engine.inputs.append(addresses[self._form.input])

    def close(self) -> None:
        self._device.check_usable()
        self._state.check(self._device.host, writing=True)
        self._state.freed = True

    def _bytes_of(self, name: str) -> int:
        if name == self._form.input:
            return prod(self._shape)
        return 4 * self._shape[0] * self._form.widths[name]

    def _execute(self, addresses: dict[str, int]) -> None:
        import openvino

        self._engine.before()
        images = view(addresses[self._form.input], self._shape, np.uint8)
        self._request.infer({0: openvino.Tensor(images.copy())})
        for name, width in self._form.widths.items():
            place = view(addresses[name], (self._shape[0], width), np.float32)
            place[:] = self._request.get_tensor(name).data
