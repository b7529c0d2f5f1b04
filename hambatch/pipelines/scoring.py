"""Batches of bytes to batches of pixels: fast lane and slow lane, joined by index."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.decode import has_dali
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.dicom.opening import opened
from hambatch.pipelines.header import is_suspect
from hambatch.pipelines.options import DEFAULTS, DecoderOptions
from hambatch.pipelines.pillow_lane import PillowLane, Pixels
from hambatch.pipelines.slow_lane import NotAlone, Salvaged, SlowLane
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.system.packages import require
from hambatch.types import Batch, Failure, Images, on_host


def build_pipeline(
    batch_size: int,
    threads: int,
    prefetch: int,
    spec: InputSpec,
    how: Preprocessing,
    limits: Limits = UNLIMITED,
    log: DecoderLog | None = None,
    alive: Callable[[], None] | None = None,
    *,
    gpu: int | None = None,
    decoder: DecoderOptions = DEFAULTS,
) -> "ScoringPipeline":
    """Choose DALI where it is installed, else Pillow with the same contract.

    Raises MissingDependency without DALI to decode on a GPU, and BackendError, now or after a
    refused batch, if DALI cannot use that GPU.

    Parameters
    ----------
    threads
        With a GPU they read headers, and decode what its JPEG engine leaves to them.
    prefetch
        With a GPU at least 2, or it idles while a batch is handed over.
    gpu
        The number of the GPU, as CUDA numbers them, that decodes good images; the CPU decodes
        the others all the same, and all with None.
    """
    log = log or DecoderLog()
    if gpu is not None:
        require("nvidia.dali", extra="", purpose="decoding on a GPU")
    with_dali = has_dali()

    def build() -> FastLane:
        if with_dali:
            return DaliLane(batch_size, threads, spec, how, gpu, decoder, alive)
        return PillowLane(threads, spec, how)

    salvage = SlowLane(spec, how, limits, log, with_dali=with_dali)
    return ScoringPipeline(CheckedLane(build, log), salvage, prefetch, spec, limits, alive)


class FastLane(Protocol):
    """Decodes whole batches, several in flight, in order."""

    name: str

    own_pixels: bool
    """Whether the slow lane would decode a good file to other pixels."""

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a batch."""

    def collect(self) -> tuple[NDArray[np.int64], Images]:
        """Give the oldest batch's indices and images; RuntimeError if it is refused."""

    def close(self) -> None:
        """Wait until nothing is being decoded; what is in flight is dropped."""


class CheckedLane:
    """A fast lane whose batches are used only if nothing speaks against them.

    After a refused batch, indices of other files, or a decoder's warning there are no images of
    that batch, and the lane is closed, so that the batch can be decoded file by file while
    nothing else prints. The other batches in flight are fed again to a new lane. Building one
    takes 10 ms, decoding a batch of 64 about 200 ms, on the CPU. ``troubles`` counts what
    happened: ``refused``, ``mismatched``, ``warned``.
    """

    def __init__(self, build: Callable[[], FastLane], log: DecoderLog) -> None:
        self._build, self._log = build, log
        self._lane: FastLane | None = build()
        self._batches: deque[Sequence[Fetched]] = deque()
        self.name, self.own_pixels = self._lane.name, self._lane.own_pixels
        self.troubles: Counter[str] = Counter()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being decoded."""
        return self._lane is None or not self._batches

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a batch."""
        lane = self._running()
        self._batches.append(files)
        lane.feed(files)

    def collect(self) -> Images | None:
        """Wait for the oldest batch: images ``[n, h, w, 3]``, or None after trouble."""
        lane = self._running()
        files = self._batches.popleft()
        try:
            indices, images = lane.collect()
        except RuntimeError:
            trouble = "refused"
        else:
            trouble = "" if indices.tolist() == [f.index for f in files] else "mismatched"
        # A later batch may have caused the warning: it is decoded again, and warns again.
        if self._log.warning() or self._log.is_long:
            trouble = trouble or "warned"
        if not trouble:
            return images
        self.troubles[trouble] += 1
        self.settle()
        return None

    def one_by_one(
        self, files: Sequence[Fetched], alive: Callable[[], None] | None = None
    ) -> dict[int, Pixels]:
        """Decode each file of a batch that had trouble in a batch of its own.

        Gives the pixels by index of those without trouble: the pixels that they have in every
        batch, even one too large for the GPU's memory. ``alive`` is called after each.
        """
        self.settle()
        lane, found = CheckedLane(self._build, self._log), {}
        for file in files:
            lane.feed([file])
            images = lane.collect()
            if images is not None:
                found[file.index] = on_host(images)[0].copy()
            if alive:
                alive()
        lane.settle()
        return found

    def settle(self) -> None:
        """Let nothing be decoded until the next call; the batches in flight start over then."""
        if self._lane is not None:
            self._lane.close()
            self._lane = None
        self._log.warning()
        self._log.shorten()

    def _running(self) -> FastLane:
        if self._lane is None:
            self._lane = self._build()
            for files in self._batches:
                self._lane.feed(files)
        return self._lane


class ScoringPipeline:
    """Turns fetched files into batches, in order; a bad file costs only itself.

    A batch of a GPU's lane stays on the device where all its images come from that lane;
    with others among them, which is rare, it is put together on the host. ``alive`` is called
    whenever a file of the slow lane is done: a batch of them takes many times as long as one.
    """

    def __init__(
        self,
        lane: CheckedLane,
        salvage: SlowLane,
        prefetch: int,
        spec: InputSpec,
        limits: Limits = UNLIMITED,
        alive: Callable[[], None] | None = None,
    ) -> None:
        self._lane, self._salvage, self._prefetch = lane, salvage, prefetch
        self._spec, self._limits, self._alive = spec, limits, alive
        self.decoder = lane.name

    @property
    def troubles(self) -> dict[str, int]:
        """How often a batch was decoded again, and why; see :class:`CheckedLane`."""
        return dict(self._lane.troubles)

    def batches(self, fetched: Iterable[list[Fetched]]) -> Iterator[Batch]:
        """Yield a batch for each list of files; up to ``prefetch`` are decoded ahead."""
        in_flight: deque[tuple[list[Fetched], list[Fetched]]] = deque()
        for raw in fetched:
            files = [opened(file, self._limits) for file in raw]
            fast = [file for file in files if not file.problem and not self._is_suspect(file)]
            if fast:
                self._lane.feed(fast)
            in_flight.append((files, fast))
            if len(in_flight) > self._prefetch - 1:
                yield self._finish(*in_flight.popleft())
        while in_flight:
            yield self._finish(*in_flight.popleft())

    def _is_suspect(self, file: Fetched) -> bool:
        # The limits of a run are about its images; a sentinel is the engine's.
        return is_suspect(file.content, UNLIMITED if file.sentinel else self._limits)

    def _finish(self, files: list[Fetched], fast: list[Fetched]) -> Batch:
        images = self._lane.collect() if fast else None
        single: dict[int, Salvaged] = {}
        if images is None:
            if fast and self._lane.own_pixels:
                found = self._lane.one_by_one(fast, self._alive)
                single = {index: (pixels, self.decoder) for index, pixels in found.items()}
            fast = []
        done = {f.index for f in fast} | single.keys()
        failures = self._salvage_rest([f for f in files if f.index not in done], single)
        kept = [f for f in files if f.index in done or f.index in single]
        if images is None or single:
            pixels = {index: alone for index, (alone, _) in single.items()}
            if images is not None:
                pixels |= zip((f.index for f in fast), on_host(images), strict=True)
            images = self._stacked([pixels[f.index] for f in kept])
        return Batch(
            indices=np.array([f.index for f in kept], np.int64),
            images=images,
            decoders=[single[f.index][1] if f.index in single else self.decoder for f in kept],
            sha256=[f.sha256 for f in kept],
            failures=failures,
        )

    def _salvage_rest(self, files: Sequence[Fetched], single: dict[int, Salvaged]) -> list[Failure]:
        failures = []
        for file in files:
            try:
                outcome = self._salvage.decode(file, alone=self._lane.is_idle)
            except NotAlone:
                self._lane.settle()
                outcome = self._salvage.decode(file, alone=True)
            if self._alive:
                self._alive()
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                single[file.index] = outcome
        return failures

    def _stacked(self, pixels: Sequence[Pixels]) -> NDArray[np.uint8]:
        if pixels:
            return np.stack(pixels)
        return np.empty((0, self._spec.height, self._spec.width, 3), np.uint8)
