"""Inference alone: ready arrays through a backend, as many as it can, or one at a time."""

import importlib
import inspect
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends import BACKENDS, Backend
from hambatch.batches import Batch
from hambatch.bench.child import Loaded
from hambatch.bench.turns import Turn, peak_rss_mb, timed
from hambatch.engines.loading import load_engine
from hambatch.errors import InputError

BATCH = 32
"""Images handed over at a time, rounded up to whole requests: as a run does it."""

LEAST_REQUESTS = 8
"""A stream, in a turn."""


def own_request_size(backend: str) -> int:
    """Give the images a request that a backend uses in a run."""
    size: int = importlib.import_module(BACKENDS[backend]).REQUEST_SIZE
    return size


@dataclass(frozen=True)
class Setting:
    """How an engine is run; ``batch_size`` is that of a request."""

    backend: str
    precision: str
    batch_size: int
    streams: int
    threads_a_stream: int


@dataclass(frozen=True)
class Offline:
    """Throughput: ``count`` images, all at hand. ``pixels`` is a file of images, .npy.

    More where that is less than some full requests a stream: no stream idles, and no request
    is filled up.
    """

    engine: Path
    setting: Setting
    pixels: Path
    count: int

    def load(self) -> Loaded:
        """Load the engine and the images."""
        backend, images = open_backend(self.engine, self.setting), np.load(self.pixels)
        request = self.setting.batch_size
        size = request * -(-BATCH // request)
        least = request * self.setting.streams * LEAST_REQUESTS
        count = request * -(-max(self.count, least) // request)

        def work() -> int:
            starts = range(0, count, size)
            batches = (cut(images, start, min(size, count - start)) for start in starts)
            return sum(len(scored.logits) for scored in backend.predict(batches))

        return Loaded(backend.name, lambda: timed(work), backend.close)


@dataclass(frozen=True)
class SingleStream:
    """Latency: one request at a time, the next as the last is answered, as in MLPerf.

    A turn is ``samples`` requests, or as many as ``seconds`` allow, at least one.
    """

    engine: Path
    setting: Setting
    pixels: Path
    samples: int
    seconds: float

    def load(self) -> Loaded:
        """Load the engine and the images."""
        backend, images = open_backend(self.engine, self.setting), np.load(self.pixels)
        return Loaded(backend.name, lambda: self._turn(backend, images), backend.close)

    def _turn(self, backend: Backend, images: NDArray[np.uint8]) -> Turn:
        size, found = self.setting.batch_size, list[float]()
        cpu, started = time.process_time(), time.perf_counter()
        for k in range(self.samples):
            batch = cut(images, k * size, size)
            before = time.perf_counter()
            list(backend.predict([batch]))
            now = time.perf_counter()
            found.append((now - before) * 1000)
            if now - started > self.seconds:
                break
        seconds, busy = time.perf_counter() - started, time.process_time() - cpu
        peak = peak_rss_mb(os.getpid())
        return Turn(len(found) * size, seconds, busy, peak, tuple(found))


def cut(images: NDArray[np.uint8], start: int, count: int) -> Batch:
    """Make a batch of ``count`` images from ``start`` on, the first again after the last."""
    indices = np.arange(start, start + count)
    return Batch(
        indices,
        images[indices % len(images)],
        ["dali-cpu"] * count,
        [""] * count,
    )


def open_backend(engine: Path, setting: Setting) -> Backend:
    """Load an engine with a setting.

    Raises
    ------
    InputError
        If it is one that the backend cannot be given.
    """
    load: Any = importlib.import_module(BACKENDS[setting.backend]).load
    wanted: dict[str, int] = {}
    if setting.batch_size != own_request_size(setting.backend):
        wanted["request_size"] = setting.batch_size
    if setting.threads_a_stream != 1:
        wanted["threads_a_stream"] = setting.threads_a_stream
    fixed = [name for name in wanted if name not in inspect.signature(load).parameters]
    if fixed:
        raise InputError(
            f"the {setting.backend} backend has its own {' and '.join(fixed)}, "
            f"wanted batch {setting.batch_size}, {setting.threads_a_stream} threads a stream.\n"
            f"Next: leave out --batch-size and --threads, or --backend openvino"
        )
    backend: Backend = load(load_engine(engine), setting.precision, setting.streams, **wanted)
    return backend
