"""Groups of bytes to batches of pixels: fast lane, slow lane, joined by index."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Batch, Failure
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.salvage import Salvage
from hambatch.pipelines.suspicion import is_suspect
from hambatch.sources.reading import Fetched


class FastLane(Protocol):
    """Decodes whole groups, several in flight, answers in order."""

    name: str

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a group."""

    def collect(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Give the oldest group's indices and images; RuntimeError if it is refused."""


@dataclass
class _Group:
    files: list[Fetched]
    fast: list[Fetched]


class ScoringPipeline:
    """Turns fetched groups into batches, in order; a bad file costs only itself."""

    def __init__(self, lane: FastLane, salvage: Salvage, prefetch: int, spec: InputSpec) -> None:
        self._lane, self._salvage, self._prefetch, self._spec = lane, salvage, prefetch, spec
        self.decoder = lane.name

    def batches(self, groups: Iterable[list[Fetched]]) -> Iterator[Batch]:
        """Yield one batch a group; up to ``prefetch`` groups are decoded ahead."""
        in_flight: deque[_Group] = deque()
        for files in groups:
            group = _Group(files, [f for f in files if not f.problem and not is_suspect(f.content)])
            if group.fast:
                self._lane.feed(group.fast)
            in_flight.append(group)
            if len(in_flight) > self._prefetch - 1:
                yield self._finish(in_flight.popleft())
        while in_flight:
            yield self._finish(in_flight.popleft())

    def _finish(self, group: _Group) -> Batch:
        done: dict[int, tuple[NDArray[np.uint8], str]] = {}
        whole: NDArray[np.uint8] | None = None
        if group.fast:
            try:
                indices, whole = self._lane.collect()
            except RuntimeError:
                whole = None
            else:
                _assert_same(indices, group.fast)
                done = {f.index: (whole[k], self._lane.name) for k, f in enumerate(group.fast)}
        failures: list[Failure] = []
        for file in group.files:
            if file.index not in done:
                outcome = self._salvage.decode(file)
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                else:
                    done[file.index] = outcome
        kept = [f for f in group.files if f.index in done]
        if whole is None or len(kept) != len(whole):
            whole = self._stack([done[f.index][0] for f in kept])
        return Batch(
            indices=np.array([f.index for f in kept], np.int64),
            images=whole,
            decoders=[done[f.index][1] for f in kept],
            sha256=[f.sha256 for f in kept],
            failures=failures,
        )

    def _stack(self, images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        shape = (self._spec.height, self._spec.width, 3)
        return np.stack(images) if images else np.empty((0, *shape), np.uint8)


def _assert_same(indices: NDArray[np.int64], files: Sequence[Fetched]) -> None:
    wanted = [f.index for f in files]
    if indices.tolist() != wanted:
        raise AssertionError(f"the decoder answered for {indices.tolist()}, asked for {wanted}")


def build_pipeline(
    batch_size: int, threads: int, prefetch: int, spec: InputSpec, how: Preprocessing
) -> ScoringPipeline:
    """Choose DALI where it is installed, else Pillow with the same contract."""
    from hambatch.pipelines.platform import has_dali

    lane: FastLane
    if has_dali():
        from hambatch.pipelines.dali_scoring import DaliScoring

        lane = DaliScoring(batch_size, threads, spec, how)
    else:
        from hambatch.pipelines.pillow_scoring import PillowScoring

        lane = PillowScoring(threads, spec, how)
    salvage = Salvage(spec, how, with_dali=lane.name != "pillow")
    return ScoringPipeline(lane, salvage, prefetch, spec)
