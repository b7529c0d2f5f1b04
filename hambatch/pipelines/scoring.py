"""Groups of bytes to batches of pixels: fast lane, slow lane, joined by index."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Batch, Failure
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.limits import UNLIMITED, Limits
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.flight import FastLane, Flight
from hambatch.pipelines.platform import has_dali
from hambatch.pipelines.salvage import NotAlone, Salvage, Salvaged
from hambatch.pipelines.suspicion import is_suspect
from hambatch.sources.reading import Fetched


@dataclass
class _Group:
    files: list[Fetched]
    fast: list[Fetched]


class ScoringPipeline:
    """Turns fetched groups into batches, in order; a bad file costs only itself.

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
        done: dict[int, Salvaged] = {}
        images = self._flight.collect() if group.fast else None
        if images is not None:
            done = {f.index: (images[k], self.decoder) for k, f in enumerate(group.fast)}
        failures = self._salvage_rest(group.files, done)
        kept = [f for f in group.files if f.index in done]
        if images is None or len(kept) != len(images):
            images = self._stack([done[f.index][0] for f in kept])
        return Batch(
            indices=np.array([f.index for f in kept], np.int64),
            images=images,
            decoders=[done[f.index][1] for f in kept],
            sha256=[f.sha256 for f in kept],
            failures=failures,
        )

    def _salvage_rest(self, files: Sequence[Fetched], done: dict[int, Salvaged]) -> list[Failure]:
        failures = []
        for file in files:
            if file.index in done:
                continue
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

    def _stack(self, images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        shape = (self._spec.height, self._spec.width, 3)
        return np.stack(images) if images else np.empty((0, *shape), np.uint8)


def build_pipeline(
    batch_size: int,
    threads: int,
    prefetch: int,
    spec: InputSpec,
    how: Preprocessing,
    limits: Limits = UNLIMITED,
    log: DecoderLog | None = None,
    alive: Callable[[], None] | None = None,
) -> ScoringPipeline:
    """Choose DALI where it is installed, else Pillow with the same contract."""
    log, with_dali = log or DecoderLog(), has_dali()
    lane = partial(_dali if with_dali else _pillow, batch_size, threads, spec, how)
    salvage = Salvage(spec, how, limits, log, with_dali=with_dali)
    return ScoringPipeline(Flight(lane, log), salvage, prefetch, spec, limits, alive)


def _dali(batch_size: int, threads: int, spec: InputSpec, how: Preprocessing) -> FastLane:
    from hambatch.pipelines.dali_scoring import DaliScoring

    return DaliScoring(batch_size, threads, spec, how)


def _pillow(batch_size: int, threads: int, spec: InputSpec, how: Preprocessing) -> FastLane:
    from hambatch.pipelines.pillow_scoring import PillowScoring

    return PillowScoring(threads, spec, how)
