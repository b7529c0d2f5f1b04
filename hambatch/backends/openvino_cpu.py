"""OpenVINO on the CPU: the default backend."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.openvino_compile import How, compile_copies
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError
from hambatch.types import Batch, Scored, on_host

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
    """A batch whose last ``left`` images are not scored yet."""

    batch: Batch
    rows: list[NDArray[np.float32]]
    left: int
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Part:
    """Neighbouring images in a request: from ``first`` on in the batch, from ``place`` on there."""

    pending: _Pending
    first: int
    images: NDArray[np.uint8]
    place: int


class OpenVinoBackend:
    """Runs the engine's ONNX in streams, by default single-threaded, of four images a request."""

    def __init__(
        self, name: str, copies: Sequence[Any], streams: int, request_size: int = REQUEST_SIZE
    ) -> None:
        import openvino

        self.name, self.note = name, ""
        self._request_size = request_size
        self.holds = streams * REQUESTS_PER_STREAM
        self._tensor = openvino.Tensor
        each = self.holds // len(copies)
        self._queues = [openvino.AsyncInferQueue(compiled, each) for compiled in copies]
        for queue in self._queues:
            queue.set_callback(self._keep)
        self._idle = threading.Semaphore(self.holds)
        self._busy = [0] * len(copies)
        self._counting = threading.Lock()
        self._parts: list[_Part] = []
        self._filled = 0
        # In every copy the outputs have the same names.
        self._widths = [copies[0].output(name).partial_shape[1].get_length() for name in OUTPUTS]

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Submit every batch in requests; yield batches in order when complete.

        What is left of a batch waits for images of the next one to fill its request.
        """
        waiting: deque[_Pending] = deque()
        for batch in batches:
            waiting.append(self._submit(batch))
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
        pending = _Pending(batch, rows, left=count)
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
        tensor = self._tensor(images, shared_memory=True)
        copy = self._idle_copy()
        self._queues[copy].start_async({0: tensor}, (copy, parts, images))

    def _idle_copy(self) -> int:
        """Wait for a free request, and take one of the copy with the fewest at work."""
        while not self._idle.acquire(timeout=PATIENCE_SECONDS):
            # An exception inside a request is kept there until a call waits for it.
            self._wait_all()
        with self._counting:
            copy = self._busy.index(min(self._busy))
            self._busy[copy] += 1
        return copy

    def _keep(self, request: Any, sent: tuple[int, list[_Part], NDArray[np.uint8]]) -> None:
        """Copy a request's rows into their batches; OpenVINO calls it on a thread of its own."""
        copy, parts, _ = sent
        outputs = [request.get_tensor(name).data for name in OUTPUTS]
        for part in parts:
            count = len(part.images)
            for rows, output in zip(part.pending.rows, outputs, strict=True):
                rows[part.first : part.first + count] = output[part.place : part.place + count]
            with self._counting:
                part.pending.left -= count
                if not part.pending.left:
                    part.pending.done.set()
        with self._counting:
            self._busy[copy] -= 1
        self._idle.release()

    def _finished(self, pending: _Pending) -> Scored:
        if any(part.pending is pending for part in self._parts):
            self._send()
        if not pending.done.wait(PATIENCE_SECONDS):
            self._wait_all()
            if pending.left:
                raise BackendError(
                    f"OpenVINO left {pending.left} images of a batch of "
                    f"{len(pending.batch.indices)} without scores.\n"
                    "Next: run the same command again"
                )
        logits, features = pending.rows
        return Scored(pending.batch, logits, features)

    def _wait_all(self) -> None:
        try:
            for queue in self._queues:
                queue.wait_all()
        except RuntimeError as error:
            raise BackendError(
                f"OpenVINO failed: {str(error).splitlines()[-1]}.\nNext: run the same command again"
            ) from error


def load(
    engine: Engine,
    precision: str,
    streams: int,
    *,
    request_size: int = REQUEST_SIZE,
    threads_a_stream: int = 1,
    model_cache: Path | None = None,
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
    """
    how = How(streams, threads_a_stream, request_size)
    copies = compile_copies(engine, precision, how, model_cache)
    return OpenVinoBackend(f"openvino-{precision}", copies, streams, request_size)
