"""What a worker and its supervisor send each other."""

import fcntl
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import HambatchError
from hambatch.pipelines.options import DecoderOptions
from hambatch.sources.reading import Bounds, Item, Limits
from hambatch.types import Explained, Failure


@dataclass(frozen=True)
class Job:
    """What a worker needs to know before its first group.

    ``streams`` and ``decode_threads`` are at least 1.
    Unless ``follow_symlinks``, files that really lie outside ``root``, a path free of
    symbolic links, are not read; None switches the check off.
    ``tta`` views of every image are scored (:mod:`hambatch.backends.test_time_augmentation`).
    ``gpu`` is the number of the GPU that decodes and computes; None: the CPU does.
    With ``one_by_one`` every group is answered before the next is touched: slow,
    but the first unanswered group is then the one that the worker died of.
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
    root: Path | None = None
    follow_symlinks: bool = True
    one_by_one: bool = False
    model_cache: Path | None = None
    gpu: int | None = None
    decoder: DecoderOptions = field(default_factory=DecoderOptions)
    tta: int = 1

    @property
    def bounds(self) -> Bounds:
        """Which files may be read."""
        return Bounds(None if self.follow_symlinks else self.root, self.limits)


@dataclass(frozen=True)
class Ready:
    """The worker has loaded its engine.

    ``window`` groups must be sent before it is waited for: its stages keep that
    many before the first answer comes. ``note`` is the backend's.
    """

    backend: str
    decoder: str
    window: int
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """The worker cannot work: the error to raise in the parent."""

    error: HambatchError


@dataclass(frozen=True)
class Touched:
    """Of a worker that goes one by one: it has read a file, and decodes it now."""

    sha256: str


@dataclass(frozen=True)
class Answer:
    """One group's outcome; arrays as in :class:`hambatch.types.Scored`.

    ``by_parent`` tells of a file at which its worker was lost: no worker says so.
    """

    indices: NDArray[np.int64]
    logits: NDArray[np.float32]
    decoders: list[str]
    sha256: list[str]
    failures: list[Failure]
    by_parent: bool = False
    views: tuple[NDArray[np.float32], ...] = ()
    explained: Explained | None = None

    def without(self, slots: Sequence[int]) -> "Answer":
        """Leave out the images in these slots; failures stay."""
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


ALIVE_EVERY_SECONDS = 0.2
"""Signs of life are not sent more often than that."""


@dataclass(frozen=True)
class Alive:
    """The worker has finished a file that it decodes alone; its group takes longer."""


class Parent:
    """The other end of the pipe; where it is gone the process ends: nobody is left to tell.

    A parent that was killed leaves EOF, a reset, or half a message.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._last_said = connection, 0.0

    def send(self, message: object) -> None:
        """Send a message; for the main thread only."""
        try:
            self._connection.send(message)
        except OSError:
            os._exit(1)
        self._last_said = time.monotonic()

    def say_alive(self) -> None:
        """Tell that the main thread is getting on, if it has said nothing for a moment."""
        if time.monotonic() - self._last_said > ALIVE_EVERY_SECONDS:
            self.send(Alive())

    def receive(self) -> list[Item] | None:
        """Wait for a group; None is the end."""
        try:
            group: list[Item] | None = self._connection.recv()
        except (EOFError, OSError):
            os._exit(1)
        return group


STDERR = 2


class WorkerLog:
    """Made by the parent, inherited by the worker, which prints into it, and read by both.

    It lies in memory where the system can do that: on a full disk a decoder's
    warning would be lost, and a damaged picture pass for a whole one.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = _nameless_file() if descriptor is None else descriptor

    def __reduce__(self) -> tuple[Any, ...]:
        """Hand the descriptor to the process that is being spawned."""
        return _inherited, (reduction.DupFd(self._descriptor),)

    def become_stderr(self) -> None:
        """Send what this process prints to the log, from native code too."""
        os.dup2(self._descriptor, STDERR)
        self.close()

    def last_words(self, most: int) -> str:
        """Give the last ``most`` bytes as text, without the NULs of who tested the log."""
        start = max(0, os.fstat(self._descriptor).st_size - most)
        said = os.pread(self._descriptor, most, start)
        return said.replace(b"\0", b"").decode(errors="replace").strip()

    def close(self) -> None:
        """Let go of the file; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _inherited(handle: Any) -> WorkerLog:
    return WorkerLog(handle.detach())


def _nameless_file() -> int:
    try:
        descriptor = os.memfd_create("hambatch-worker")
    except (AttributeError, OSError):
        # No Linux, or one that does not let us.
        with tempfile.TemporaryFile() as stream:
            descriptor = os.dup(stream.fileno())
    # Several threads print, and the log is emptied now and then: no place in it is to be kept.
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
    return descriptor
