"""OpenVINO on the CPU: the default backend."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.openvino_compile import How, compile_copies
from hambatch.batches import Batch, Scored
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError

REQUEST_SIZE = 1
"""Images a request. One stream runs one request on one thread, so an image's
scores cannot depend on its neighbours, the batch size or the thread count.
Requests of 4 were 3 % faster on 2 cores, of 8 no faster."""

REQUESTS_PER_STREAM = 2
"""One being computed, one waiting, so that a stream never starves."""

PATIENCE_SECONDS = 60.0
"""How long a batch may take before its requests are asked whether they failed."""


@dataclass
class _Pending:
    batch: Batch
    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    left: int
    done: threading.Event = field(default_factory=threading.Event)


class OpenVinoBackend:
    """Runs the engine's ONNX in streams, by default single-threaded, one image a request."""

    def __init__(
        self, name: str, copies: Sequence[Any], streams: int, request_size: int = REQUEST_SIZE
    ) -> None:
        import openvino

        self.name = name
        self._request_size = request_size
        self.holds = streams * REQUESTS_PER_STREAM
        self._tensor = openvino.Tensor
        each = self.holds // len(copies)
        self._queues = [openvino.AsyncInferQueue(compiled, each) for compiled in copies]
        for queue in self._queues:
            queue.set_callback(self._keep)
        self._idle = threading.Semaphore(self.holds)
        # Outputs of one copy are told apart by name in all of them.
        self._widths = [
            copies[0].output(name).partial_shape[1].get_length() for name in ("logits", "features")
        ]

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Submit every batch in requests; yield batches in order when complete."""
        waiting: deque[_Pending] = deque()
        for batch in batches:
            waiting.append(self._submit(batch))
            # Never wait for another batch with more than `holds` unanswered: whoever feeds
            # this may be waiting for an answer before it sends more.
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

    def _wait_all(self) -> None:
        for queue in self._queues:
            queue.wait_all()

    def _idle_queue(self) -> Any:
        """Wait for a request that is free; its queue takes the next without waiting."""
        if not self._idle.acquire(timeout=PATIENCE_SECONDS):
            self._wait_all()
        while True:
            for queue in self._queues:
                if queue.is_ready():
                    return queue
            # Its callback has said so, and is just returning.
            time.sleep(0)

    def _submit(self, batch: Batch) -> _Pending:
        count = len(batch.indices)
        logits, features = self._empty(count)
        firsts = range(0, count, self._request_size)
        pending = _Pending(batch, logits, features, left=len(firsts))
        if not count:
            pending.done.set()
        for first in firsts:
            # Not copied: what is passed along keeps the memory until it is scored.
            images = self._padded(batch.images[first : first + self._request_size])
            tensor = self._tensor(images, shared_memory=True)
            self._idle_queue().start_async({0: tensor}, (pending, first, images))
        return pending

    def _padded(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        missing = self._request_size - len(images)
        if not missing:
            return images
        return np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])

    def _finished(self, pending: _Pending) -> Scored:
        if not pending.done.wait(PATIENCE_SECONDS):
            # An exception inside a request is kept there until somebody waits for it.
            self._wait_all()
            if pending.left:
                raise BackendError(
                    f"OpenVINO left {pending.left} requests of a batch of "
                    f"{len(pending.batch.indices)} images unanswered.\n"
                    "Next: run the same command again"
                )
        return Scored(pending.batch, pending.logits, pending.features)

    def _empty(self, count: int) -> list[NDArray[np.float32]]:
        return [np.empty((count, width), np.float32) for width in self._widths]

    def _keep(self, request: Any, where: tuple[_Pending, int, NDArray[np.uint8]]) -> None:
        pending, first, _ = where
        kept = min(self._request_size, len(pending.logits) - first)
        answered = slice(first, first + kept)
        pending.logits[answered] = request.get_tensor("logits").data[:kept]
        pending.features[answered] = request.get_tensor("features").data[:kept]
        # Callbacks run one after the other under the GIL, so the count needs no lock.
        pending.left -= 1
        if not pending.left:
            pending.done.set()
        self._idle.release()


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

    Parameters
    ----------
    request_size, threads_a_stream
        Only ``hambatch bench`` sets them: with others than the defaults an image's
        scores may differ in their last bits.
    model_cache
        Folder of graphs that earlier starts compiled; scores are the same with and without.

    Raises
    ------
    EngineError
        If the graph cannot be read, or its input or outputs are not those of
        ``engine.json``.
    """
    how = How(streams, threads_a_stream, request_size)
    copies = compile_copies(engine, precision, how, model_cache)
    return OpenVinoBackend(f"openvino-{precision}", copies, streams, request_size)
