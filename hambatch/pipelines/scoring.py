"""Groups of bytes to batches of pixels: fast lane, slow lane, joined by index."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.decode import DEFAULTS, has_dali
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.header import is_suspect
from hambatch.pipelines.options import DecoderOptions
from hambatch.pipelines.slow_lane import NotAlone, Salvage, Salvaged
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.system.packages import require
from hambatch.types import Batch, Failure, Images, on_host


class FastLane(Protocol):
    """Decodes whole groups, several in flight, answers in order."""

    name: str

    own_pixels: bool
    """Whether the slow lane would decode a good file to other pixels."""

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a group."""

    def collect(self) -> tuple[NDArray[np.int64], Images]:
        """Give the oldest group's indices and images; RuntimeError if it is refused."""

    def close(self) -> None:
        """Wait until nothing is being decoded; what is in flight is dropped."""


class Flight:
    """A fast lane that is trusted only while nothing speaks against it.

    A refused group, an answer for other files than asked, or a decoder's warning:
    the group at hand is not answered for, and the lane is torn down, so that the
    group can be decoded file by file while nothing else prints. The other groups
    in flight are fed again to a new lane. Building one takes 10 ms, decoding a
    group of 64 about 200 ms, on the CPU.

    Attributes
    ----------
    own_pixels
        As the lane's.
    troubles
        How often what happened: ``refused``, ``mismatched``, ``warned``.
    """

    def __init__(self, build: Callable[[], FastLane], log: DecoderLog) -> None:
        self._build, self._log = build, log
        self._lane: FastLane | None = build()
        self._groups: deque[Sequence[Fetched]] = deque()
        self.name, self.own_pixels = self._lane.name, self._lane.own_pixels
        self.troubles: Counter[str] = Counter()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being decoded."""
        return self._lane is None or not self._groups

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a group."""
        lane = self._running()
        self._groups.append(files)
        lane.feed(files)

    def collect(self) -> Images | None:
        """Wait for the oldest group: images ``[n, h, w, 3]``, or None if it is not trusted."""
        lane = self._running()
        files = self._groups.popleft()
        try:
            indices, images = lane.collect()
        except RuntimeError:
            trouble = "refused"
        else:
            trouble = "" if indices.tolist() == [f.index for f in files] else "mismatched"
        # Whoever is in flight may have been it: those are decoded again and will say it again.
        if self._log.heard() or self._log.is_long:
            trouble = trouble or "warned"
        if not trouble:
            return images
        self.troubles[trouble] += 1
        self.settle()
        return None

    def one_by_one(
        self, files: Sequence[Fetched], alive: Callable[[], None] | None = None
    ) -> dict[int, NDArray[np.uint8]]:
        """Decode each file in a group of its own; only the trusted ones are in the answer.

        For a group that was not trusted: its good files get the pixels that they have in
        every other company, also where a group was too much for the GPU's memory. ``alive``
        is called after each.
        """
        self.settle()
        alone, found = Flight(self._build, self._log), {}
        for file in files:
            alone.feed([file])
            images = alone.collect()
            if images is not None:
                found[file.index] = on_host(images)[0].copy()
            if alive:
                alive()
        alone.settle()
        return found

    def settle(self) -> None:
        """Let nothing be decoded until the next call; the groups in flight start over then."""
        if self._lane is not None:
            self._lane.close()
            self._lane = None
        self._log.heard()
        self._log.shorten()

    def _running(self) -> FastLane:
        if self._lane is None:
            self._lane = self._build()
            for files in self._groups:
                self._lane.feed(files)
        return self._lane


@dataclass
class _Group:
    files: list[Fetched]
    fast: list[Fetched]


class ScoringPipeline:
    """Turns fetched groups into batches, in order; a bad file costs only itself.

    A batch of a GPU's lane stays on the device where all its images come from that lane;
    with others among them, which is rare, it is put together on the host.

    Parameters
    ----------
    alive
        Called whenever a file of the slow lane is done: a group of them may take
        many times as long as one.
    """

    def __init__(
        self,
        flight: Flight,
        salvage: Salvage,
        prefetch: int,
        spec: InputSpec,
        limits: Limits = UNLIMITED,
        alive: Callable[[], None] | None = None,
    ) -> None:
        self._flight, self._salvage, self._prefetch = flight, salvage, prefetch
        self._spec, self._limits, self._alive = spec, limits, alive
        self.decoder = flight.name

    @property
    def troubles(self) -> dict[str, int]:
        """How often a batch was not trusted, and why; see :class:`Flight`."""
        return dict(self._flight.troubles)

    def batches(self, groups: Iterable[list[Fetched]]) -> Iterator[Batch]:
        """Yield one batch a group; up to ``prefetch`` groups are decoded ahead."""
        in_flight: deque[_Group] = deque()
        for files in groups:
            group = _Group(files, [f for f in files if self._is_fast(f)])
            if group.fast:
                self._flight.feed(group.fast)
            in_flight.append(group)
            if len(in_flight) > self._prefetch - 1:
                yield self._finish(in_flight.popleft())
        while in_flight:
            yield self._finish(in_flight.popleft())

    def _is_fast(self, file: Fetched) -> bool:
        return not file.problem and not is_suspect(file.content, self._limits)

    def _finish(self, group: _Group) -> Batch:
        images = self._flight.collect() if group.fast else None
        done: dict[int, Salvaged] = {}
        if images is None and self._flight.own_pixels:
            done = self._one_by_one(group.fast)
        fast = [] if images is None else group.fast
        settled = {f.index for f in fast} | done.keys()
        failures = self._salvage_rest([f for f in group.files if f.index not in settled], done)
        if images is None or done:
            images = self._put_together(group.files, fast, images, done)
        kept = [f for f in group.files if f.index in settled or f.index in done]
        return Batch(
            indices=np.array([f.index for f in kept], np.int64),
            images=images,
            decoders=[done[f.index][1] if f.index in done else self.decoder for f in kept],
            sha256=[f.sha256 for f in kept],
            failures=failures,
        )

    def _one_by_one(self, files: Sequence[Fetched]) -> dict[int, Salvaged]:
        found = self._flight.one_by_one(files, self._alive) if files else {}
        return {index: (pixels, self.decoder) for index, pixels in found.items()}

    def _salvage_rest(self, files: Sequence[Fetched], done: dict[int, Salvaged]) -> list[Failure]:
        failures = []
        for file in files:
            outcome = self._slowly(file)
            if self._alive:
                self._alive()
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                done[file.index] = outcome
        return failures

    def _slowly(self, file: Fetched) -> Salvaged | Failure:
        try:
            return self._salvage.decode(file, alone=self._flight.is_idle)
        except NotAlone:
            self._flight.settle()
            return self._salvage.decode(file, alone=True)

    def _put_together(
        self,
        files: Sequence[Fetched],
        fast: Sequence[Fetched],
        images: Images | None,
        done: dict[int, Salvaged],
    ) -> NDArray[np.uint8]:
        """Stack what is there, in the order of the files, on the host."""
        pixels = {index: salvaged[0] for index, salvaged in done.items()}
        if images is not None:
            array = on_host(images)
            pixels |= {f.index: array[k] for k, f in enumerate(fast)}
        kept = [pixels[f.index] for f in files if f.index in pixels]
        return np.stack(kept) if kept else np.empty((0, *self._shape), np.uint8)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self._spec.height, self._spec.width, 3


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
    device: str = "cpu",
    device_id: int = 0,
    decoder: DecoderOptions = DEFAULTS,
) -> ScoringPipeline:
    """Choose DALI where it is installed, else Pillow with the same contract.

    Parameters
    ----------
    threads
        With ``mixed`` they read headers, and decode what the GPU's JPEG engine leaves to them.
    prefetch
        With ``mixed`` at least 2, or the GPU idles while a batch is handed over.
    device
        ``"cpu"``, or ``"mixed"``: good pictures are decoded by GPU ``device_id``, as CUDA
        numbers them, the others by the CPU all the same.

    Raises
    ------
    MissingDependency
        If there is no DALI to decode on a GPU.
    BackendError
        If DALI cannot use that GPU, now or after it was refused a group.
    """
    log = log or DecoderLog()
    if device != "cpu":
        require("nvidia.dali", extra="", purpose="decoding on a GPU")
    with_dali = has_dali()
    lane: Callable[[], FastLane] = partial(_pillow, threads, spec, how)
    if with_dali:
        how_fed = batch_size, threads, spec, how, device, device_id, decoder, alive
        lane = partial(_dali, *how_fed)
    salvage = Salvage(spec, how, limits, log, with_dali=with_dali)
    return ScoringPipeline(Flight(lane, log), salvage, prefetch, spec, limits, alive)


def _dali(
    batch_size: int,
    threads: int,
    spec: InputSpec,
    how: Preprocessing,
    device: str,
    device_id: int,
    decoder: DecoderOptions,
    alive: Callable[[], None] | None,
) -> FastLane:
    from hambatch.pipelines.dali_lane import DaliScoring

    return DaliScoring(batch_size, threads, spec, how, device, device_id, decoder, alive)


def _pillow(threads: int, spec: InputSpec, how: Preprocessing) -> FastLane:
    from hambatch.pipelines.pillow_lane import PillowScoring

    return PillowScoring(threads, spec, how)
