"""OpenVINO on the CPU: the default backend."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Batch, Scored
from hambatch.engines.loading import Engine
from hambatch.engines.manifest import Manifest
from hambatch.errors import BackendError, EngineError
from hambatch.require import require

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
    """Runs the engine's ONNX in single-threaded streams."""

    def __init__(self, name: str, compiled: Any, streams: int) -> None:
        import openvino

        self.name = name
        self.holds = streams * REQUESTS_PER_STREAM
        self._tensor = openvino.Tensor
        self._queue = openvino.AsyncInferQueue(compiled, self.holds)
        self._queue.set_callback(self._keep)
        self._ports = compiled.output("logits"), compiled.output("features")

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Submit every image of every batch; yield batches in order when complete."""
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
        self._queue.wait_all()

    def _submit(self, batch: Batch) -> _Pending:
        count = len(batch.indices)
        logits, features = self._empty(count)
        pending = _Pending(batch, logits, features, left=count)
        if not count:
            pending.done.set()
        for slot in range(count):
            # The slice is not copied: the pending batch keeps its memory until it is scored.
            image = self._tensor(batch.images[slot : slot + 1], shared_memory=True)
            self._queue.start_async({0: image}, (pending, slot))
        return pending

    def _finished(self, pending: _Pending) -> Scored:
        if not pending.done.wait(PATIENCE_SECONDS):
            # An exception inside a request is kept there until somebody waits for it.
            self._queue.wait_all()
            if pending.left:
                raise BackendError(
                    f"OpenVINO left {pending.left} of {len(pending.batch.indices)} images "
                    "unanswered.\nNext: run the same command again"
                )
        return Scored(pending.batch, pending.logits, pending.features)

    def _empty(self, count: int) -> list[NDArray[np.float32]]:
        widths = (port.partial_shape[1].get_length() for port in self._ports)
        return [np.empty((count, width), np.float32) for width in widths]

    def _keep(self, request: Any, where: tuple[_Pending, int]) -> None:
        pending, slot = where
        logits, features = self._ports
        pending.logits[slot] = request.get_tensor(logits).data[0]
        pending.features[slot] = request.get_tensor(features).data[0]
        # Callbacks run one after the other under the GIL, so the count needs no lock.
        pending.left -= 1
        if not pending.left:
            pending.done.set()


def load(engine: Engine, precision: str, streams: int) -> OpenVinoBackend:
    """Compile the engine's graph of one precision for this CPU.

    Raises
    ------
    EngineError
        If the graph cannot be read, or its input or outputs are not those of
        ``engine.json``.
    """
    openvino = require("openvino", extra="", purpose="The openvino backend")
    path = engine.folder / engine.variant(precision).file
    try:
        model = openvino.Core().read_model(path)
    except RuntimeError as error:
        raise EngineError(
            f"{path} is no graph that OpenVINO can read: {str(error).splitlines()[-1]}.\n"
            "Next: hambatch engines verify"
        ) from error
    check_graph(model, engine.manifest, str(path))
    spec = engine.manifest.input
    model.reshape([REQUEST_SIZE, spec.height, spec.width, 3])
    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            # Some CPUs would take BF16 silently: FP32 means FP32.
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
        },
    )
    return OpenVinoBackend(f"openvino-{precision}", compiled, streams)


def check_graph(model: Any, manifest: Manifest, path: str) -> None:
    """Compare a graph's input and outputs with the manifest.

    Raises
    ------
    EngineError
        Naming what the graph has and what the manifest wants.
    """
    spec = manifest.input
    wanted = {
        spec.name: f"{spec.dtype} [?,{spec.height},{spec.width},3]",
        "logits": f"float32 [?,{len(manifest.classes)}]",
        "features": "float32 [?,2048]",
    }
    found = {port.any_name: _signature(port) for port in [*model.inputs, *model.outputs]}
    if found != wanted:
        raise EngineError(
            f"{path} does not match its engine.json: the graph has {found}, wanted {wanted}.\n"
            "Next: hambatch export, or install hambatch again"
        )


def _signature(port: Any) -> str:
    kind = {"f32": "float32", "u8": "uint8"}.get(
        port.element_type.get_type_name(), port.element_type.get_type_name()
    )
    first, *rest = port.partial_shape
    sides = ["?" if first.is_dynamic else str(first)]
    sides += ["?" if side.is_dynamic else str(side.get_length()) for side in rest]
    return f"{kind} [{','.join(sides)}]"
