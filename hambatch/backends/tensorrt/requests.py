"""The TensorRT backend: batches in, requests of one size in flight on a GPU, scores in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.double_check import Chooser, SecondScores
from hambatch.backends.tensorrt.device import Device
from hambatch.backends.tensorrt.slot import ExecutionContext, RequestForm, Slot
from hambatch.engines.sentinels import LOGIT_TOLERANCE
from hambatch.types import Batch, DeviceImages, DoubleChecked, Images, Scored

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
    """A batch of which ``left`` images are not scored yet; one to be scored twice counts twice."""

    batch: Batch
    left: int
    rows: dict[str, NDArray[np.float32]]
    second: SecondScores | None


@dataclass
class _Part:
    """Neighbouring images in a request: from ``first`` on in the batch, from ``place`` on there."""

    pending: _Pending
    first: int
    place: int
    count: int


@dataclass
class _Request:
    """``before``: the slot that computed it the first time, if this is the second."""

    slot: Slot
    parts: list[_Part] = field(default_factory=list)
    before: Slot | None = None


class TensorRtBackend:
    """Runs a compiled plan in slots; everything happens on the thread that calls it.

    ``device`` is closed with the backend; if making the slots fails, it is left as it was.
    ``note`` says why requests are smaller than they were meant to be; empty if they are not.
    ``close_plan`` is called once the slots are gone, while the device's context is current.
    ``double_check`` is the percentage of requests that are computed twice: in another slot if one
    is free, every image in another place, after the first ones of the next batch. A plan may
    drift by a little from place to place, so logits are compared within :data:`LOGIT_TOLERANCE`.
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
        double_check: float = 0.0,
    ) -> None:
        self.name, self.note = name, note
        self.holds = slots * BATCHES_PER_SLOT
        self._device, self._form, self._close_plan = device, form, close_plan
        self._open: _Request | None = None
        self._flying: deque[_Request] = deque()
        self._idle: deque[Slot] = deque()
        self._made: list[Slot] = []
        self._chooser = Chooser(double_check) if double_check else None
        self._due: list[_Request] = []
        self._held = ExitStack()
        with ExitStack() as owned:
            owned.enter_context(device.current())
            made = owned.enter_context(ExitStack())
            for _ in range(slots):
                slot = Slot(device, make_context, form)
                made.callback(slot.close)
                self._idle.append(slot)
                self._made.append(slot)
            self._slots = made.pop_all()

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Submit every batch in requests; yield batches in order when complete.

        What is left of a batch waits for images of the next one to fill its request.
        """
        waiting: deque[_Pending] = deque()
        for batch in batches:
            due, self._due = self._due, []
            waiting.append(self._submit(batch))
            self._start_again(due)
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
        second = SecondScores.of(count, self._form.widths["logits"]) if self._chooser else None
        pending = _Pending(batch, count, rows, second)
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
        if self._chooser and self._chooser.takes():
            for part in request.parts:
                part.pending.left += part.count
            if second := request.parts[0].pending.second:
                second.requests += 1
            self._due.append(request)
        request.slot.start()
        self._flying.append(request)

    def _start_again(self, due: list[_Request]) -> None:
        """Start requests for the second time, every image one place further."""
        for first in due:
            with self._device.current():
                again = _Request(self._free_slot(first.slot), first.parts, first.slot)
                last = first.parts[-1]
                again.slot.add(last.pending.batch.images, last.first + last.count - 1, 1)
                for part in first.parts:
                    count = min(part.count, self._form.size - again.slot.filled)
                    if count:
                        again.slot.add(part.pending.batch.images, part.first, count)
                again.slot.start()
                self._flying.append(again)

    def _free_slot(self, first: Slot | None = None) -> Slot:
        """Wait for a free slot; another one than ``first`` unless no other can be had."""
        while True:
            others = [slot for slot in self._idle if slot is not first]
            if others or not self._flying:
                break
            self._land()
        if not self._idle and self._open:
            # The only slot waits for images that may not come.
            self._start(self._open)
            self._land()
        slot = others[0] if others else self._idle[0]
        self._idle.remove(slot)
        return slot

    def _land(self) -> None:
        """Wait for the oldest request in flight, and hand its rows to their batches."""
        request = self._flying.popleft()
        found = request.slot.finish()
        for part in request.parts:
            if request.before is None:
                for name, rows in part.pending.rows.items():
                    there = slice(part.place, part.place + part.count)
                    rows[part.first : part.first + part.count] = found[name][there]
            else:
                self._keep_second(part, found["logits"], request.before, request.slot)
            part.pending.left -= part.count
        self._idle.append(request.slot)

    def _keep_second(
        self, part: _Part, logits: NDArray[np.float32], before: Slot, now: Slot
    ) -> None:
        places = part.place + np.arange(part.count)
        turned = (places + 1) % self._form.size
        slots = (np.full_like(places, self._made.index(slot)) for slot in (before, now))
        where = np.stack([next(slots), places, next(slots), turned], axis=1)
        if part.pending.second:
            part.pending.second.keep(part.first, logits[turned], where)

    def _is_scored(self, pending: _Pending) -> bool:
        with self._device.current():
            while pending.left and self._flying and self._flying[0].slot.is_done:
                self._land()
        return not pending.left

    def _finished(self, pending: _Pending) -> Scored:
        with self._device.current():
            if self._open and any(part.pending is pending for part in self._open.parts):
                self._start(self._open)
            if pending.left:
                due, self._due = self._due, []
                self._start_again(due)
            while pending.left:
                self._land()
        logits, second = pending.rows["logits"], pending.second
        twice = second.compared(logits, LOGIT_TOLERANCE) if second else DoubleChecked()
        return Scored(pending.batch, logits, pending.rows["features"], twice=twice)
