"""One request at a time: a stream, an execution context, and memory at both ends."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.tensorrt.device import ALIGNMENT, Device, PinnedArray
from hambatch.engines.manifest import FEATURES, Manifest
from hambatch.types import DeviceImages, Event


class ExecutionContext(Protocol):
    """The state of one execution of a plan: one a stream, one request at a time."""

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Set an input's shape; raises BackendError if the plan was not built for it."""

    def update_device_memory_size_for_shapes(self) -> int:
        """Count the bytes of scratch memory that the input shapes need."""

    def set_device_memory(self, memory: int, size: int) -> None:
        """Hand over the scratch memory, for as long as the context is used."""

    def set_tensor_address(self, name: str, memory: int) -> None:
        """Set where an input or an output lies on the device."""

    def execute_async_v3(self, stream_handle: int) -> None:
        """Queue one execution; raises BackendError if that fails."""

    def close(self) -> None:
        """Give back what the context holds; nothing of it may be running."""


@dataclass(frozen=True)
class RequestForm:
    """The shape of every request, always of ``size`` images.

    ``image`` is ``(height, width, 3)``, of uint8; ``widths`` are the values an image
    of each float32 output.
    """

    size: int
    input: str
    image: tuple[int, int, int]
    widths: Mapping[str, int]

    @classmethod
    def of(cls, manifest: Manifest, size: int) -> "RequestForm":
        """Give the form of requests to an engine."""
        spec = manifest.input
        widths = {"logits": len(manifest.classes), "features": FEATURES}
        return cls(size, spec.name, (spec.height, spec.width, 3), widths)

    @property
    def image_bytes(self) -> int:
        """Bytes of one image."""
        return prod(self.image)


class Slot:
    """Holds one request: images are added, it is started, its rows are read.

    All its work is on one stream, so steps of one request need no events between them.
    The device's context must be current in every call.
    """

    def __init__(
        self, device: Device, make_context: Callable[[], ExecutionContext], form: RequestForm
    ) -> None:
        self._form = form
        self._outputs: dict[str, tuple[int, PinnedArray]] = {}
        self._kept: list[object] = []
        self._event: Event | None = None
        self.filled = 0
        with ExitStack() as owned:
            self._stream = device.stream()
            owned.callback(self._stream.close)
            self._images = _allocate(device, owned, form.size * form.image_bytes)
            for name, width in form.widths.items():
                pinned = device.pinned((form.size, width))
                owned.callback(pinned.free)
                pointer = _allocate(device, owned, form.size * width * np.float32().nbytes)
                self._outputs[name] = pointer, pinned
            self._context = make_context()
            owned.callback(self._context.close)
            self._prepare(device, owned)
            # Called first of all: what is still running uses the rest.
            owned.callback(self._stream.synchronize)
            self._owned = owned.pop_all()

    @property
    def is_full(self) -> bool:
        """Whether no image more fits."""
        return self.filled == self._form.size

    @property
    def is_done(self) -> bool:
        """Whether what was started is finished."""
        return self._event is not None and self._event.has_passed()

    def add(self, images: NDArray[np.uint8] | DeviceImages, first: int, count: int) -> None:
        """Queue ``count`` images, from ``first`` on, into the next free places.

        The host's are uploaded, the device's copied; where those make up the whole
        request, they are used where they lie.
        """
        target = self._images + self.filled * self._form.image_bytes
        if isinstance(images, DeviceImages):
            target = self._take(images, first, count, target)
        else:
            part = np.ascontiguousarray(images[first : first + count])
            self._kept.append(part)
            self._stream.copy_to_device(target, part)
        if not self.filled:
            self._context.set_tensor_address(self._form.input, target)
        self.filled += count

    def start(self) -> None:
        """Queue the request, filled up with black, and the way back of its outputs."""
        missing = self._form.size - self.filled
        if missing:
            place = self._images + self.filled * self._form.image_bytes
            self._stream.clear(place, missing * self._form.image_bytes)
        self._context.execute_async_v3(self._stream.handle)
        for pointer, pinned in self._outputs.values():
            self._stream.copy_to_host(pinned, pointer)
        self._event = self._stream.record()

    def finish(self) -> dict[str, NDArray[np.float32]]:
        """Wait for the request; its rows, valid until the slot is started again.

        Raises DeviceLost if the request failed.
        """
        if self._event is None:
            raise RuntimeError("a slot has no rows before it was started")
        self._event.wait()
        self._kept.clear()
        self._event, self.filled = None, 0
        return {name: pinned.read() for name, (_, pinned) in self._outputs.items()}

    def close(self) -> None:
        """Wait for what is running, and give everything back."""
        self._owned.close()
        self._kept.clear()
        self._event = None

    def _prepare(self, device: Device, owned: ExitStack) -> None:
        """Set what stays the same in all requests."""
        form = self._form
        self._context.set_input_shape(form.input, (form.size, *form.image))
        # Allocated here, so that its lack is reported as any other, and smaller requests take
        # less of it.
        if scratch := self._context.update_device_memory_size_for_shapes():
            self._context.set_device_memory(_allocate(device, owned, scratch), scratch)
        for name, (pointer, _) in self._outputs.items():
            self._context.set_tensor_address(name, pointer)

    def _take(self, images: DeviceImages, first: int, count: int, target: int) -> int:
        """Use or copy images that are on the device, and return where the input lies then."""
        self._kept.append(images)
        if images.ready is not None:
            self._stream.wait_for(images.ready)
        source = images.pointer + first * self._form.image_bytes
        if count == self._form.size and source % ALIGNMENT == 0:
            return source
        self._stream.copy_on_device(target, source, count * self._form.image_bytes)
        return target


def _allocate(device: Device, owned: ExitStack, size: int) -> int:
    pointer = device.allocate(size)
    owned.callback(device.free, pointer)
    return pointer
