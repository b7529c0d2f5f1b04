"""OpenVINO on the CPU: the default backend."""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.double_check import Chooser, SecondScores
from hambatch.backends.openvino_compile import How, compile_copies
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError
from hambatch.system.text import last_words
from hambatch.types import Batch, DoubleChecked, Scored, on_host

REQUEST_SIZE = 4
"""Images a request, always: the last one is filled up. One stream runs one request on one
thread, and no sum in it goes over several images, so an image's scores depend on neither its
place nor its neighbours: to the last bit with the kernels for SSE4.1, AVX2, AVX2-VNNI, AVX-512
and AVX-512-VNNI (``tests/backends/test_openvino_cpu.py``). Requests of 1 are slower by a tenth in
FP32 and by 8 % in INT8 (``benchmarks/results/bench_engine_fp32.json``, ``..._int8.json``)."""

REQUESTS_PER_STREAM = 2
"""One being computed, one waiting, so that a stream never starves."""

OUTPUTS = ("logits", "features")

PATIENCE_SECONDS = 60.0
"""How long a batch may take before its requests are checked for failures."""


@dataclass
class _Pending:
    """A batch of which ``left`` images are not scored yet; one to be scored twice counts twice."""

    batch: Batch
    rows: list[NDArray[np.float32]]
    left: int
    second: SecondScores | None
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Part:
    """Neighbouring images in a request: from ``first`` on in the batch, from ``place`` on there."""

    pending: _Pending
    first: int
    images: NDArray[np.uint8]
    place: int


class _Sent(NamedTuple):
    """What goes with a request: where it is computed, and whose images these are.

    ``before``: where they were computed the first time, if this is the second.
    """

    slot: int
    parts: list[_Part]
    images: NDArray[np.uint8]
    before: int | None = None


class OpenVinoBackend:
    """Runs the engine's ONNX in streams, by default single-threaded, of four images a request.

    A slot is one of OpenVINO's infer requests, with memory of its own. A request that is computed a
    second time takes another slot, of another copy of the graph if there is one; every image has
    another place there; and it is computed after the first ones of the next batch.
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
        self._busy = [False] * self.holds
        self._counting = threading.Condition()
        self._parts: list[_Part] = []
        self._filled = 0
        self._chooser = Chooser(double_check) if double_check else None
        self._due: list[_Sent] = []
        # In every copy the outputs have the same names.
        self._widths = [copies[0].output(name).partial_shape[1].get_length() for name in OUTPUTS]

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Submit every batch in requests; yield batches in order when complete.

        What is left of a batch waits for images of the next one to fill its request.
        """
        waiting: deque[_Pending] = deque()
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

    def _submit(self, batch: Batch) -> _Pending:
        count = len(batch.indices)
        rows = [np.empty((count, width), np.float32) for width in self._widths]
        second = SecondScores.of(count, self._widths[0]) if self._chooser else None
        pending = _Pending(batch, rows, count, second)
        if not count:
            pending.done.set()
        decoded, first = on_host(batch.images), 0
        while first < count:
            # Not copied: what is passed along keeps the memory until it is scored.
            images = decoded[first : first + self._request_size - self._filled]
            self._parts.append(_Part(pending, first, images, self._filled))
            self._filled += len(images)
            first += len(images)
            if self._filled == self._request_size:
                self._send()
        return pending

    def _send(self) -> None:
        """Start a request with what is there, filled up with black."""
        parts, missing = self._parts, self._request_size - self._filled
        self._parts, self._filled = [], 0
        arrays = [part.images for part in parts]
        if missing:
            arrays.append(np.zeros((missing, *arrays[0].shape[1:]), np.uint8))
        images = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        twice = self._chooser is not None and self._chooser.takes()
        if twice:
            self._expect_again(parts)
        sent = _Sent(self._free_slot(), parts, images)
        self._start(sent)
        if twice:
            self._due.append(sent)

    def _expect_again(self, parts: list[_Part]) -> None:
        with self._counting:
            for part in parts:
                part.pending.left += len(part.images)
        if second := parts[0].pending.second:
            second.requests += 1

    def _send_again(self, due: list[_Sent]) -> None:
        """Start requests for the second time, every image one place further."""
        for first in due:
            images = np.roll(first.images, 1, axis=0)
            self._start(_Sent(self._free_slot(first.slot), first.parts, images, first.slot))

    def _start(self, sent: _Sent) -> None:
        tensor = self._tensor(sent.images, shared_memory=True)
        self._queues[sent.slot].start_async({0: tensor}, sent)

    def _free_slot(self, first: int | None = None) -> int:
        """Wait for a free slot, and take one of the copy with the fewest at work.

        It is another one than ``first``, of another copy if there is one.
        """
        while True:
            with self._counting:
                if (slot := self._idle_slot(first)) is not None:
                    self._busy[slot] = True
                    return slot
                freed = self._counting.wait(PATIENCE_SECONDS)
            if not freed:
                # An exception inside a request is kept there until a call waits for it.
                self._wait_all()

    def _idle_slot(self, first: int | None) -> int | None:
        slots = [slot for slot, busy in enumerate(self._busy) if not busy and slot != first]
        if first is not None and len(set(self._copies)) > 1:
            slots = [slot for slot in slots if self._copies[slot] != self._copies[first]]
        at_work = Counter(copy for copy, busy in zip(self._copies, self._busy, strict=True) if busy)
        return min(slots, key=lambda slot: at_work[self._copies[slot]], default=None)

    def _keep(self, request: Any, sent: _Sent) -> None:
        """Copy a request's rows into their batches; OpenVINO calls it on a thread of its own."""
        outputs = [request.get_tensor(name).data for name in OUTPUTS]
        for part in sent.parts:
            count = len(part.images)
            if sent.before is None:
                for rows, output in zip(part.pending.rows, outputs, strict=True):
                    rows[part.first : part.first + count] = output[part.place : part.place + count]
            else:
                self._keep_second(part, outputs[0], sent.before, sent.slot)
            with self._counting:
                part.pending.left -= count
                if not part.pending.left:
                    part.pending.done.set()
        with self._counting:
            self._busy[sent.slot] = False
            self._counting.notify()

    def _keep_second(
        self, part: _Part, logits: NDArray[np.float32], before: int, slot: int
    ) -> None:
        places = part.place + np.arange(len(part.images))
        turned = (places + 1) % self._request_size
        where = [np.full_like(places, before), places, np.full_like(places, slot), turned]
        if part.pending.second:
            part.pending.second.keep(part.first, logits[turned], np.stack(where, axis=1))

    def _finished(self, pending: _Pending) -> Scored:
        if any(part.pending is pending for part in self._parts):
            self._send()
        if not pending.done.is_set():
            due, self._due = self._due, []
            self._send_again(due)
        if not pending.done.wait(PATIENCE_SECONDS):
            self._wait_all()
            if pending.left:
                raise BackendError(
                    f"OpenVINO left {pending.left} images of a batch of "
                    f"{len(pending.batch.indices)} without scores.\n"
                    "Next: run the same command again"
                )
        logits, features = pending.rows
        twice = pending.second.compared(logits) if pending.second else DoubleChecked()
        return Scored(pending.batch, logits, features, twice=twice)

    def _wait_all(self) -> None:
        try:
            for queue in self._queues:
                queue.wait_all()
        except RuntimeError as error:
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
