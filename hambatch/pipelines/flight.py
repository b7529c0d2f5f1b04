"""Groups on their way through the fast lane, and what happens to all of them at a trouble."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Images, on_host
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.sources.reading import Fetched


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
