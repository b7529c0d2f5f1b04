"""OpenVINO on the CPU: the default backend."""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.double_check import Chooser, SecondScores
from hambatch.backends.openvino_compile import How, compile_copies
from hambatch.backends.openvino_parts import Part, Pending, Sent
from hambatch.backends.placing import (
    REQUEST_SIZE,
    REQUESTS_PER_STREAM,
    Begun,
    Grid,
    Put,
    Turns,
    arranged,
)
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError
from hambatch.system.shortages import is_of_memory
from hambatch.system.text import last_words
from hambatch.types import Batch, DoubleChecked, Scored, on_host

OUTPUTS = ("logits", "features")

LOOK_SECONDS = 2.0
"""How long nothing may end before requests are checked for failures: OpenVINO tells of them only
when it is asked. A file that is scored alone has more time than that."""

PATIENCE_SECONDS = 60.0
"""How long the answers of requests that are done may take."""


class OpenVinoBackend:
    """Runs the engine's ONNX in streams, by default single-threaded, of four images a request.

    A slot is one of OpenVINO's infer requests, with memory of its own. A request with a sentinel
    has one that is chosen for it (:mod:`hambatch.backends.placing`); where that one computes, it
    is parked, and others go on. A request that is computed a second time takes another slot, of
    another copy of the graph if there is one; every image has another place there; and it is
    computed after the first ones of the next batch.
    """

    def __init__(
        self,
        name: str,
        copies: Sequence[Any],
        streams: int,
        request_size: int = REQUEST_SIZE,
        double_check: float = 0.0,
    ) -> None:
        import openvino

        self.name, self.note = name, ""
        self._request_size = request_size
        self.holds = streams * REQUESTS_PER_STREAM
        self._tensor = openvino.Tensor
        # A queue a slot, so that it is known which slot computes what.
        self._copies = [slot % len(copies) for slot in range(self.holds)]
        self._queues = [openvino.AsyncInferQueue(copies[copy], 1) for copy in self._copies]
        for queue in self._queues:
            queue.set_callback(self._keep)
        self._busy, self._started = [False] * self.holds, [-1] * self.holds
        self._counting = threading.Condition()
        self._turns = Turns(Grid(self.holds, request_size))
        self._parts: list[Part] = []
        self._put = Put({})
        self._number = 0
        self._flying: dict[int, int] = {}
        self._parked: list[Sent] = []
        self._chooser = Chooser(double_check) if double_check else None
        self._due: list[Sent] = []
        # In every copy the outputs have the same names.
        self._widths = [copies[0].output(name).partial_shape[1].get_length() for name in OUTPUTS]

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Submit every batch in requests; yield batches in order when complete.

        What is left of a batch waits for images of the next one to fill its request.
        """
        waiting: deque[Pending] = deque()
        for batch in batches:
            due, self._due = self._due, []
            waiting.append(self._submit(batch))
            self._send_again(due)
            # Never wait for another batch with more than `holds` unfinished: the sender may
            # wait for a result before it sends more.
            while waiting and (waiting[0].done.is_set() or len(waiting) > self.holds):
                yield self._finished(waiting.popleft())
        while waiting:
            yield self._finished(waiting.popleft())

    def close(self) -> None:
        """Wait for requests in flight; memory goes with the object."""
        self._wait_all()
        # A queue and its callback hold each other; left to the interpreter's end, that ends
        # with an abort.
        self._queues.clear()

    def _submit(self, batch: Batch) -> Pending:
        count = len(batch.indices)
        rows = [np.empty((count, width), np.float32) for width in self._widths]
        second = SecondScores.of(count, self._widths[0]) if self._chooser else None
        pending = Pending(batch, rows, np.zeros((count, 1, 4), np.int64), count, second)
        if not count:
            pending.done.set()
        decoded = on_host(batch.images)
        begun = Begun([row for part in self._parts for row in part.places], self._put.target)
        for put in arranged(np.asarray(batch.indices), begun, self._turns):
            self._add(pending, decoded, put)
            if put.last or sum(len(part.images) for part in self._parts) == self._request_size:
                self._send()
        return pending

    def _add(self, pending: Pending, decoded: NDArray[np.uint8], put: Put) -> None:
        """Add images to the request that is begun, neighbours together."""
        if put.target is not None:
            self._put = put
        before = None
        for row, slot in sorted(put.slots.items()):
            # Not copied: what is passed along keeps the memory until it is scored.
            image = decoded[slot : slot + 1]
            if before == (row - 1, slot - 1):
                part = self._parts[-1]
                part.images = decoded[part.first : slot + 1]
            else:
                self._parts.append(Part(pending, slot, image, row))
            before = row, slot

    def _send(self) -> None:
        """Start a request with what is there, or park it; what is missing is black."""
        parts, put = self._parts, self._put
        if not parts:
            return
        self._parts, self._put = [], Put({})
        images = self._joined(parts)
        twice = self._chooser is not None and self._chooser.takes()
        if twice:
            self._expect_again(parts)
        if put.after:
            self._wait_until_done()
        slot = self._free_slot() if put.target is None else put.target
        sent = Sent(slot, parts, images, None, self._number, put.beside)
        self._note(sent, after=put.after or put.beside)
        if put.target is None:
            self._start(sent)
        else:
            self._parked.append(sent)
            self._start_parked()
        if twice:
            self._due.append(sent)

    def _joined(self, parts: list[Part]) -> NDArray[np.uint8]:
        """Put the images of a request into their places, all others black."""
        if len(parts) == 1 and len(parts[0].images) == self._request_size:
            return parts[0].images
        images = np.zeros((self._request_size, *parts[0].images.shape[1:]), np.uint8)
        for part in parts:
            images[part.places] = part.images
        return images

    def _note(self, sent: Sent, *, after: bool) -> None:
        """Write down where the images of a request are computed, and where its sentinels are."""
        images: list[int] = []
        sentinels: list[int] = []
        for part in sent.parts:
            places = part.pending.places[part.there, 0]
            places[:, 0], places[:, 1], places[:, 2] = sent.slot, part.places, sent.number
            for row, index in zip(part.places, part.pending.batch.indices[part.there], strict=True):
                (sentinels if index < 0 else images).append(row)
        self._number += 1
        self._turns.note(sent.slot, images, sentinels, after=after)

    def _expect_again(self, parts: list[Part]) -> None:
        with self._counting:
            for part in parts:
                part.pending.left += len(part.images)
        if second := parts[0].pending.second:
            second.requests += 1

    def _send_again(self, due: list[Sent]) -> None:
        """Start requests for the second time, every image one place further."""
        for first in due:
            images = np.roll(first.images, 1, axis=0)
            self._start(Sent(self._free_slot(first.slot), first.parts, images, first.slot))

    def _start(self, sent: Sent) -> None:
        if sent.before is None:
            self._note_done_before(sent)
        tensor = self._tensor(sent.images, shared_memory=True)
        self._queues[sent.slot].start_async({0: tensor}, sent)

    def _note_done_before(self, sent: Sent) -> None:
        """Write down up to which number all requests are done as this one begins."""
        with self._counting:
            others = [*self._flying.values(), *(parked.number for parked in self._parked)]
            self._flying[sent.slot] = sent.number
        first = sent.number if sent.beside else min(others, default=sent.number)
        for part in sent.parts:
            part.pending.places[part.there, 0, 3] = min(first, sent.number) - 1

    def _wait_until_done(self) -> None:
        """Wait until all requests that were sent are done."""
        self._start_parked(all_of_them=True)
        while True:
            with self._counting:
                if not any(self._busy):
                    return
                freed = self._counting.wait(LOOK_SECONDS)
            if not freed:
                self._wait_all()

    def _free_slot(self, first: int | None = None) -> int:
        """Wait for a free slot, and take one of the copy with the fewest at work.

        It is another one than ``first``, of another copy if there is one. Parked requests start
        meanwhile.
        """
        while True:
            self._start_parked()
            with self._counting:
                if (slot := self._idle_slot(first)) is not None:
                    self._busy[slot], self._started[slot] = True, self._number
                    return slot
                if self._can_start():
                    continue
                freed = self._counting.wait(LOOK_SECONDS)
            if not freed:
                # An exception inside a request is kept there until a call waits for it.
                self._wait_all()

    def _idle_slot(self, first: int | None) -> int | None:
        """Choose a free slot that no parked request waits for; of several, the one free longest."""
        wanted = {first, *(sent.slot for sent in self._parked)}
        slots = [slot for slot, busy in enumerate(self._busy) if not busy and slot not in wanted]
        if first is not None and len(set(self._copies)) > 1:
            slots = [slot for slot in slots if self._copies[slot] != self._copies[first]]
        at_work = Counter(copy for copy, busy in zip(self._copies, self._busy, strict=True) if busy)
        return min(slots, key=lambda k: (at_work[self._copies[k]], self._started[k]), default=None)

    def _can_start(self) -> list[Sent]:
        """Choose parked requests whose slots are free: of each slot, the first."""
        first = {sent.slot: sent for sent in reversed(self._parked)}
        return [sent for slot, sent in first.items() if not self._busy[slot]]

    def _start_parked(self, *, all_of_them: bool = False) -> None:
        """Start the parked requests that can; with ``all_of_them``, wait until the others can."""
        while self._parked:
            with self._counting:
                ready = self._can_start()
                for sent in ready:
                    self._busy[sent.slot], self._started[sent.slot] = True, self._number
                freed = bool(ready)
                if all_of_them and not ready:
                    freed = self._counting.wait(LOOK_SECONDS)
            for sent in ready:
                self._parked.remove(sent)
                self._start(sent)
            if not freed and all_of_them:
                self._wait_all()
            if not (ready or all_of_them):
                return

    def _keep(self, request: Any, sent: Sent) -> None:
        """Copy a request's rows into their batches; OpenVINO calls it on a thread of its own."""
        outputs = [request.get_tensor(name).data for name in OUTPUTS]
        for part in sent.parts:
            count = len(part.images)
            if sent.before is None:
                for rows, output in zip(part.pending.rows, outputs, strict=True):
                    rows[part.there] = output[part.place : part.place + count]
            else:
                self._keep_second(part, outputs[0], sent.before, sent.slot)
            with self._counting:
                part.pending.left -= count
                if not part.pending.left:
                    part.pending.done.set()
        self._release(sent)

    def _release(self, sent: Sent) -> None:
        """Let the next request have the slot."""
        with self._counting:
            self._busy[sent.slot] = False
            self._flying.pop(sent.slot, None)
            self._counting.notify()

    def _keep_second(self, part: Part, logits: NDArray[np.float32], before: int, slot: int) -> None:
        places = part.place + np.arange(len(part.images))
        turned = (places + 1) % self._request_size
        where = [np.full_like(places, before), places, np.full_like(places, slot), turned]
        if part.pending.second:
            part.pending.second.keep(part.first, logits[turned], np.stack(where, axis=1))

    def _finished(self, pending: Pending) -> Scored:
        if any(part.pending is pending for part in self._parts):
            self._send()
        self._start_parked(all_of_them=not pending.done.is_set())
        if not pending.done.is_set():
            due, self._due = self._due, []
            self._send_again(due)
        if not pending.done.wait(LOOK_SECONDS):
            self._wait_all()
            if not pending.done.wait(PATIENCE_SECONDS):
                raise BackendError(
                    f"OpenVINO left {pending.left} images of a batch of "
                    f"{len(pending.batch.indices)} without scores.\n"
                    "Next: run the same command again"
                )
        logits, features = pending.rows
        twice = pending.second.compared(logits) if pending.second else DoubleChecked()
        return Scored(pending.batch, logits, features, twice=twice, places=pending.places)

    def _wait_all(self) -> None:
        try:
            for queue in self._queues:
                queue.wait_all()
        except RuntimeError as error:
            if is_of_memory(error):
                raise MemoryError(str(error)) from error
            raise BackendError(
                f"OpenVINO failed: {last_words(error)}.\nNext: run the same command again"
            ) from error


def load(
    engine: Engine,
    precision: str,
    streams: int,
    *,
    request_size: int = REQUEST_SIZE,
    threads_a_stream: int = 1,
    model_cache: Path | None = None,
    double_check: float = 0.0,
) -> OpenVinoBackend:
    """Compile the engine's graph of one precision for this CPU.

    Raises EngineError if the graph cannot be read, or does not match ``engine.json``.

    Parameters
    ----------
    request_size, threads_a_stream
        Only ``hambatch bench`` sets them: with others than the defaults an image's
        scores may differ in their last bits.
    model_cache
        Folder of graphs that earlier starts compiled; scores are the same with and without.
    double_check
        Percentage of requests to compute twice.
    """
    how = How(streams, threads_a_stream, request_size)
    copies = compile_copies(engine, precision, how, model_cache)
    return OpenVinoBackend(f"openvino-{precision}", copies, streams, request_size, double_check)
