"""The TensorRT backend: batches in, requests of one size in flight on a GPU, scores in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.tensorrt.device import Device
from hambatch.backends.tensorrt.slot import ExecutionContext, RequestForm, Slot
from hambatch.types import Batch, DeviceImages, Images, Scored

REQUEST_SIZE = 64
"""Images a request, always: the last one is filled up, so that an image's scores depend on
nothing but its pixels. From about here on ResNet50 keeps a GPU busy; not measured yet."""

SLOTS = 2
"""Requests in flight, by default: while one is computed, the next one's images come in and the
last one's rows go out."""

BATCHES_PER_SLOT = 2
"""Batches may be half as large as requests and still keep every slot at work."""


@dataclass
class _Pending:
    """A batch whose last ``left`` images are not scored yet."""

    batch: Batch
    left: int
    rows: dict[str, NDArray[np.float32]]


@dataclass
class _Part:
    """Neighbouring images in a request: from ``first`` on in the batch, from ``place`` on there."""

    pending: _Pending
    first: int
    place: int
    count: int


@dataclass
class _Request:
    slot: Slot
    parts: list[_Part] = field(default_factory=list)


class TensorRtBackend:
    """Runs a compiled plan in slots; everything happens on the thread that calls it.

    ``device`` is closed with the backend; if making the slots fails, it is left as it was.
    ``note`` says why requests are smaller than they were meant to be; empty if they are not.
    ``close_plan`` is called once the slots are gone, while the device's context is current.
    """

    def __init__(
        self,
        name: str,
        device: Device,
        make_context: Callable[[], ExecutionContext],
        form: RequestForm,
        slots: int = SLOTS,
        note: str = "",
        close_plan: Callable[[], None] | None = None,
    ) -> None:
        self.name, self.note = name, note
        self.holds = slots * BATCHES_PER_SLOT
        self._device, self._form, self._close_plan = device, form, close_plan
        self._open: _Request | None = None
        self._flying: deque[_Request] = deque()
        self._idle: deque[Slot] = deque()
        self._held = ExitStack()
        with ExitStack() as owned:
            owned.enter_context(device.current())
            made = owned.enter_context(ExitStack())
            for _ in range(slots):
                slot = Slot(device, make_context, form)
                made.callback(slot.close)
                self._idle.append(slot)
            self._slots = made.pop_all()

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Submit every batch in requests; yield batches in order when complete.

        What is left of a batch waits for images of the next one to fill its request.
        """
        waiting: deque[_Pending] = deque()
        for batch in batches:
            waiting.append(self._submit(batch))
            # Never wait for another batch with more than `holds` unfinished: the sender may
            # wait for a result before it sends more.
            while waiting and (self._is_scored(waiting[0]) or len(waiting) > self.holds):
                yield self._finished(waiting.popleft())
        while waiting:
            yield self._finished(waiting.popleft())

    def uploaded(self, images: NDArray[np.uint8]) -> DeviceImages:
        """Copy images to the device, to be scored again and again; they stay until the end.

        Raises OutOfMemory if the device has no room for them.
        """
        with self._device.current():
            pointer = self._device.allocate(images.nbytes)
            self._held.callback(self._device.free, pointer)
            with closing(self._device.stream()) as stream:
                stream.copy_to_device(pointer, np.ascontiguousarray(images))
                stream.synchronize()
        count, height, width, channels = images.shape
        return DeviceImages(pointer, (count, height, width, channels), owner=None)

    def close(self) -> None:
        """Wait for requests in flight; give back memory, streams and the device."""
        with ExitStack() as owned:
            owned.callback(self._device.close)
            owned.enter_context(self._device.current())
            if self._close_plan:
                owned.callback(self._close_plan)
            owned.callback(self._held.close)
            owned.callback(self._slots.close)

    def _submit(self, batch: Batch) -> _Pending:
        count = len(batch.indices)
        rows = {name: np.empty((count, n), np.float32) for name, n in self._form.widths.items()}
        pending = _Pending(batch, count, rows)
        images, wanted = batch.images, (count, *self._form.image)
        # A pointer is followed unchecked: with a wrong shape other memory would be read.
        if count and images.shape != wanted:
            raise ValueError(f"images are {images.shape}, wanted {wanted}")
        if count:
            with self._device.current():
                self._add(pending, images)
        return pending

    def _add(self, pending: _Pending, images: Images) -> None:
        first, count = 0, len(images)
        while first < count:
            request = self._open or _Request(self._free_slot())
            self._open = request
            place = request.slot.filled
            part = _Part(pending, first, place, min(self._form.size - place, count - first))
            request.slot.add(images, first, part.count)
            request.parts.append(part)
            first += part.count
            if request.slot.is_full:
                self._start(request)

    def _start(self, request: _Request) -> None:
        self._open = None
        request.slot.start()
        self._flying.append(request)

    def _free_slot(self) -> Slot:
        if not self._idle:
            self._land()
        return self._idle.popleft()

    def _land(self) -> None:
        """Wait for the oldest request in flight, and hand its rows to their batches."""
        request = self._flying.popleft()
        found = request.slot.finish()
        for part in request.parts:
            for name, rows in part.pending.rows.items():
                there = slice(part.place, part.place + part.count)
                rows[part.first : part.first + part.count] = found[name][there]
            part.pending.left -= part.count
        self._idle.append(request.slot)

    def _is_scored(self, pending: _Pending) -> bool:
        with self._device.current():
            while pending.left and self._flying and self._flying[0].slot.is_done:
                self._land()
        return not pending.left

    def _finished(self, pending: _Pending) -> Scored:
        with self._device.current():
            if self._open and any(part.pending is pending for part in self._open.parts):
                self._start(self._open)
            while pending.left:
                self._land()
        return Scored(pending.batch, pending.rows["logits"], pending.rows["features"])
