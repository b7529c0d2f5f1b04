"""What a worker and its supervisor send each other: job, items, answers."""

import os
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.placing import REQUEST_SIZE, REQUESTS_PER_STREAM, Grid
from hambatch.engines.backend_names import BACKEND_OF_GATES
from hambatch.errors import HambatchError
from hambatch.pipelines.options import DecoderOptions
from hambatch.risk.checking import Checked
from hambatch.sources.reading import Bounds, Item, Limits
from hambatch.types import DoubleChecked, Explained, Failure


@dataclass(frozen=True)
class Job:
    """All that a worker needs before its first batch, resolved by :mod:`hambatch.scoring.plan`.

    ``streams`` and ``decode_threads`` are at least 1. A file that takes its decoder longer than
    ``decode_seconds`` is a failed row.
    Files that really lie outside the folder that ``roots`` has for their source are not read; as
    in :class:`Bounds`.
    ``tta`` views of every image are scored (:mod:`hambatch.backends.test_time_augmentation`), and
    ``double_check`` percent of the requests twice (:mod:`hambatch.backends.double_check`).
    ``gpu`` is the number of the GPU that decodes and computes; None: the CPU does.
    With ``one_by_one`` every batch is answered before the next is touched: slow,
    but the first unanswered batch is then the one that the worker died of.
    ``engine_sha256`` is the identity that the engine has to have when it is loaded; empty: any.
    """

    engine: Path
    backend: str
    precision: str
    batch_size: int
    streams: int
    decode_threads: int
    readers: int
    prefetch: int
    limits: Limits
    decode_seconds: float
    roots: tuple[Path | None, ...] = ()
    one_by_one: bool = False
    model_cache: Path | None = None
    gpu: int | None = None
    decoder: DecoderOptions = field(default_factory=DecoderOptions)
    tta: int = 1
    double_check: float = 0.0
    engine_sha256: str = ""

    @property
    def backend_name(self) -> str:
        """As the table names it: ``openvino-fp32``."""
        return f"{self.backend}-{self.precision}"

    @property
    def bounds(self) -> Bounds:
        """Which files may be read."""
        return Bounds(self.roots, self.limits)


def grid_of(job: Job) -> Grid | None:
    """Name the places where a job computes; None: the slots of its batches.

    OpenVINO gives sentinels a request and a row of their own. TensorRT and Keras take a batch as
    it comes.
    """
    if job.backend != BACKEND_OF_GATES:
        return None
    return Grid(job.streams * REQUESTS_PER_STREAM, REQUEST_SIZE)


@dataclass(frozen=True)
class Ready:
    """The worker has loaded its engine.

    ``window`` batches must be sent before an answer is waited for: the stages keep that
    many before the first answer comes. ``note`` is the backend's.
    """

    backend: str
    decoder: str
    window: int
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """The worker cannot work: the error that the parent raises."""

    error: HambatchError


@dataclass(frozen=True)
class NoMemory:
    """The worker ends: memory was refused to it. ``short``: not because it asked for too much."""

    words: str
    short: bool


@dataclass(frozen=True)
class Touched:
    """From a worker that goes one by one: it has read a file, and decodes it now."""

    sha256: str


@dataclass(frozen=True)
class Answer:
    """One batch's outcome; arrays as in :class:`hambatch.types.Scored`.

    ``checked`` is of each image; None: the engine has no limits. With ``by_parent`` it is the
    supervisor's, for a file at which a worker was lost.
    """

    indices: NDArray[np.int64]
    logits: NDArray[np.float32]
    decoders: list[str]
    sha256: list[str]
    failures: list[Failure]
    by_parent: bool = False
    views: tuple[NDArray[np.float32], ...] = ()
    explained: Explained | None = None
    twice: DoubleChecked = field(default_factory=DoubleChecked)
    places: NDArray[np.int64] | None = None
    checked: Sequence[Checked] | None = None

    def without(self, slots: Sequence[int]) -> "Answer":
        """Leave out the images in these slots; failures and counts stay."""
        kept = np.delete(np.arange(len(self.indices)), slots).tolist()
        return Answer(
            self.indices[kept],
            self.logits[kept],
            [self.decoders[slot] for slot in kept],
            [self.sha256[slot] for slot in kept],
            self.failures,
            self.by_parent,
            tuple(view[kept] for view in self.views),
            self.explained and self.explained.only(kept),
            DoubleChecked(self.twice.requests, self.twice.images),
            None if self.places is None else self.places[kept],
            self.checked and [self.checked[slot] for slot in kept],
        )


@dataclass
class StageTimes:
    """Seconds that the run's main thread of the worker waited for each stage."""

    load_s: float = 0.0
    read_wait_s: float = 0.0
    decode_wait_s: float = 0.0
    inference_wait_s: float = 0.0

    def __add__(self, other: "StageTimes") -> "StageTimes":
        """Add up the times of two workers."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return StageTimes(*(ours + theirs for ours, theirs in pairs))


@dataclass(frozen=True)
class Finished:
    """The last message of a worker; ``troubles`` as in :class:`ScoringPipeline`."""

    stage_times: StageTimes = field(default_factory=StageTimes)
    troubles: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Hurry:
    """From the parent: leave out the images that are not decoded yet; sentinels stay."""


ALIVE_EVERY_SECONDS = 0.2
"""Signs of life are not sent more often than that."""


@dataclass(frozen=True)
class Alive:
    """The worker has finished a file that it decodes alone; its batch takes longer."""


class Parent:
    """The worker's end of the pipe; where the parent is gone, the process ends.

    A parent that was killed leaves EOF, a reset, or half a message.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._last_sent = connection, 0.0

    def send(self, message: object) -> None:
        """Send a message; for the main thread only."""
        try:
            self._connection.send(message)
        except OSError:
            os._exit(1)
        self._last_sent = time.monotonic()

    def say_alive(self) -> None:
        """Send a sign of life, if the main thread has sent nothing for a moment."""
        if time.monotonic() - self._last_sent > ALIVE_EVERY_SECONDS:
            self.send(Alive())

    def receive_job(self) -> Job:
        """Wait for the job, which comes before any batch."""
        try:
            job: Job = self._connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        return job

    def receive(self) -> list[Item] | Hurry | None:
        """Wait for a batch of items; None is the end."""
        try:
            items: list[Item] | Hurry | None = self._connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        return items
