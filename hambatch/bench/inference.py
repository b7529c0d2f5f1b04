"""Inference alone: arrays in memory through a backend, as fast as it can, or one at a time."""

import importlib
import inspect
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends import BACKENDS, Backend
from hambatch.backends.tensorrt.requests import TensorRtBackend
from hambatch.bench.measuring import Case, Loaded, Turn, peak_rss_mb, timed
from hambatch.engines.loading import load_engine
from hambatch.errors import BackendError, InputError
from hambatch.system.text import plural
from hambatch.types import Batch, DeviceImages, Images

BATCH = 32
"""Images in a batch, rounded up to whole requests: as a run does it."""

LEAST_REQUESTS = 8
"""A stream, in a turn."""

Cut = Callable[[int, int], Batch]
"""Gives so many images, from an index on; the first again after the last."""


def own_request_size(backend: str) -> int:
    """Give the images a request that a backend uses in a run: one where it names no size."""
    size: int = getattr(importlib.import_module(BACKENDS[backend]), "REQUEST_SIZE", 1)
    return size


@dataclass(frozen=True)
class Setting:
    """How an engine is run; ``batch_size`` is that of a request, ``gpu`` the GPU's number."""

    backend: str
    precision: str
    batch_size: int
    streams: int
    threads_a_stream: int
    gpu: int | None = None

    @property
    def name(self) -> str:
        """As a result shows it."""
        return (
            f"{self.backend}-{self.precision}, batch {self.batch_size}, "
            f"{plural(self.streams, 'stream')} x {plural(self.threads_a_stream, 'thread')}"
        )

    @property
    def facts(self) -> dict[str, str | int | float]:
        """As a result lists them; ``gpu`` only where there is one."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Offline:
    """Throughput: ``count`` images, all in memory. ``pixels`` is a file of images, .npy.

    Where ``count`` is less than :data:`LEAST_REQUESTS` full requests a stream, that many: no
    stream idles, and no request is filled up.
    """

    engine: Path
    setting: Setting
    pixels: Path
    count: int

    def case(self) -> Case:
        """Name what is measured."""
        return Case(self.setting.name, "inference", self.setting.facts, self)

    def load(self) -> Loaded:
        """Load the engine and the images."""
        backend = open_backend(self.engine, self.setting)
        request = self.setting.batch_size
        size = request * -(-BATCH // request)
        cut = in_memory(backend, np.load(self.pixels), size)
        least = request * self.setting.streams * LEAST_REQUESTS
        count = request * -(-max(self.count, least) // request)

        def work() -> int:
            starts = range(0, count, size)
            batches = (cut(start, min(size, count - start)) for start in starts)
            return sum(len(scored.logits) for scored in backend.predict(batches))

        return Loaded(lambda: timed(work), backend.close)


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

    def case(self) -> Case:
        """Name what is measured."""
        name = f"{self.setting.name}, one at a time"
        return Case(name, "inference", self.setting.facts, self)

    def load(self) -> Loaded:
        """Load the engine and the images."""
        backend = open_backend(self.engine, self.setting)
        cut = in_memory(backend, np.load(self.pixels), self.setting.batch_size)
        return Loaded(lambda: self._turn(backend, cut), backend.close)

    def _turn(self, backend: Backend, cut: Cut) -> Turn:
        size, found = self.setting.batch_size, list[float]()
        cpu, started = time.process_time(), time.perf_counter()
        for k in range(self.samples):
            batch = cut(k * size, size)
            before = time.perf_counter()
            list(backend.predict([batch]))
            now = time.perf_counter()
            found.append((now - before) * 1000)
            if now - started > self.seconds:
                break
        seconds, busy = time.perf_counter() - started, time.process_time() - cpu
        peak = peak_rss_mb(os.getpid())
        return Turn(len(found) * size, seconds, busy, peak, tuple(found))


def open_backend(engine: Path, setting: Setting) -> Backend:
    """Load an engine with a setting.

    Raises
    ------
    InputError
        If the backend has no such setting.
    BackendError
        If the GPU has no memory for requests of that size.
    """
    load: Any = importlib.import_module(BACKENDS[setting.backend]).load
    wanted: dict[str, int] = {}
    if setting.batch_size != own_request_size(setting.backend):
        wanted["request_size"] = setting.batch_size
    if setting.threads_a_stream != 1:
        wanted["threads_a_stream"] = setting.threads_a_stream
    if setting.gpu is not None:
        wanted["ordinal"] = setting.gpu
    fixed = [name for name in wanted if name not in inspect.signature(load).parameters]
    if fixed:
        raise InputError(
            f"the {setting.backend} backend has its own {' and '.join(fixed)}, "
            f"wanted batch {setting.batch_size}, {setting.threads_a_stream} threads a stream.\n"
            f"Next: leave out --batch-size and --threads, or --backend openvino"
        )
    backend: Backend = load(load_engine(engine), setting.precision, setting.streams, **wanted)
    refuse_other(backend.name, f"{setting.backend}-{setting.precision}", backend.note)
    return backend


def refuse_other(name: str, wanted: str, why: str) -> None:
    """Raise BackendError if a backend has changed what was to be measured, to fit into a GPU."""
    if name != wanted:
        raise BackendError(
            f"{name} would be measured, wanted {wanted}: {why}.\n"
            "Next: measure less at once: a smaller --batch-size, fewer combinations"
        )


def in_memory(backend: Backend, images: NDArray[np.uint8], most: int) -> Cut:
    """Put images where the backend reads them, and give what cuts batches of at most ``most``.

    On a GPU they are uploaded now, once: a run's images were decoded there.
    """
    if not isinstance(backend, TensorRtBackend):
        return partial(cut, images)
    # Those at the start once more behind the end, so that every batch lies in one piece.
    round_again = images[np.arange(len(images) + most) % len(images)]
    return partial(cut_on_device, backend.uploaded(round_again), len(images))


def cut(images: NDArray[np.uint8], start: int, count: int) -> Batch:
    """Make a batch of ``count`` images of the host from ``start`` on."""
    return _batch(start, images[np.arange(start, start + count) % len(images)], "dali-cpu")


def cut_on_device(images: DeviceImages, different: int, start: int, count: int) -> Batch:
    """Make a batch of ``count`` images from ``start`` on, by address; ``different`` go round."""
    _, *shape = images.shape
    pointer = images.pointer + start % different * prod(shape)
    height, width, channels = shape
    part = DeviceImages(pointer, (count, height, width, channels), images.owner)
    return _batch(start, part, "dali-gpu")


def _batch(start: int, images: Images, decoder: str) -> Batch:
    count = len(images)
    return Batch(np.arange(start, start + count), images, [decoder] * count, [""] * count)
