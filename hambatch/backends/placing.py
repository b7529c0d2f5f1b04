"""Where sentinels are computed: in which infer request, and in which row of it.

A sentinel vouches for an image's infer request if it was computed there with the image or after it,
and for its row if it was computed in that row, of whichever request, after the image was. An image
needs both. So the sentinels of a run take all requests and all rows in turn, and the last ones
share the last requests with images.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

REQUEST_SIZE = 4
"""Images a request, always: the last one is filled up. One stream runs one request on one
thread, and no sum in it goes over several images, so an image's scores depend on neither its
place nor its neighbours: to the last bit with the kernels for SSE4.1, AVX2, AVX2-VNNI, AVX-512
and AVX-512-VNNI (``tests/backends/test_openvino_cpu.py``). Requests of 1 are slower by a tenth in
FP32 and by 8 % in INT8 (``benchmarks/results/bench_engine_fp32.json``, ``..._int8.json``)."""

REQUESTS_PER_STREAM = 2
"""One being computed, one waiting, so that a stream never starves."""


@dataclass(frozen=True)
class Grid:
    """The places of a backend: ``requests`` infer requests, each of ``rows`` images."""

    requests: int
    rows: int

    @property
    def round(self) -> int:
        """Count the sentinels of which one is in each request, and one in each row."""
        return max(self.requests, self.rows)

    @property
    def places(self) -> int:
        """Count the rows of all requests."""
        return self.requests * self.rows

    def beside(self, sentinels: int) -> int:
        """Count the images that fit into the requests of so many sentinels (at least ``rows``).

        In the last of these requests there is none: nothing would come to its row later.
        """
        most = self.rows - 1
        return most * sentinels - most * self.rows // 2

    def needed(self, images: int, batches: int) -> int:
        """Count the sentinels that prove so many images, sent in so many batches."""
        if batches == 1 and images < self.rows:
            return images + 1
        few = self.rows
        while few < self.round and self.beside(few) < images:
            few += 1
        # Each batch may have left a request that was not full.
        return min(self.round, few + batches - 1)


class Put(NamedTuple):
    """What one request gets of a batch: by row, the slots of images and sentinels.

    ``target``: which request it has to be; ``last``: nothing comes to it later; ``after``: it is
    begun when all before it are done; ``beside``: it counts as if it were.
    """

    slots: dict[int, int]
    target: int | None = None
    last: bool = False
    after: bool = False
    beside: bool = False


class Turns:
    """Whose turn it is: requests and rows come first whose images no sentinel has followed."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._waiting = np.zeros(grid.requests, bool), np.zeros(grid.rows, bool)
        self._last = np.full((grid.requests, grid.rows), -1)
        self._count = 0

    def note(
        self, request: int, images: Sequence[int], sentinels: Sequence[int], *, after: bool
    ) -> None:
        """Take note of a request that is sent: the rows of its images and of its sentinels.

        ``after``: it begins when all before it are done.
        """
        self._waiting[1][images] = True
        if after:
            self._waiting[1][sentinels] = False
        self._waiting[0][request] = not sentinels
        self._last[request, sentinels] = self._count
        self._count += 1

    @property
    def none_waits(self) -> bool:
        """Whether every request has had a sentinel with its last image, or later, and every row.

        Then all requests with images are done, too: a row's sentinel begins after its images.
        """
        return not (self._waiting[0].any() or self._waiting[1].any())

    def request(self) -> int:
        """Choose the request that is to get a sentinel next."""
        waiting, last = self._waiting[0], self._last.max(axis=1)
        return min(range(self.grid.requests), key=lambda k: (not waiting[k], last[k]))

    def row(self, request: int, free: Sequence[int]) -> int:
        """Choose a sentinel's row in a request: over time, every row of every request."""
        last, own = self._last.max(axis=0), self._last[request]
        return min(free, key=lambda k: (not self._waiting[1][k], own[k], last[k]))


@dataclass(frozen=True)
class Begun:
    """The request that an earlier batch has begun: the rows that are taken, and which it is."""

    rows: Sequence[int] = ()
    target: int | None = None


def arranged(indices: NDArray[np.int64], begun: Begun, turns: Turns) -> Iterator[Put]:
    """Share a batch among requests; the next is drawn when a full one, or a last, has been sent.

    ``indices`` are those of the batch, int64 ``[n]``; a sentinel's is negative. A batch with one
    sentinel goes on with what is begun; one with several, or without an image, ends a round.
    """
    images = np.flatnonzero(indices >= 0).tolist()
    sentinels = np.flatnonzero(indices < 0).tolist()
    if not sentinels:
        yield from _filled(images, begun, turns.grid.rows)
    elif len(sentinels) == 1 and images:
        yield from _one_among(images, sentinels[0], begun, turns)
    else:
        yield from _round(images, sentinels, begun, turns)


def _filled(images: Sequence[int], begun: Begun, rows: int, *, last: bool = False) -> Iterator[Put]:
    """Put images into free rows, request by request."""
    free = [row for row in range(rows) if row not in begun.rows]
    while images:
        now, images = images[: len(free)], images[len(free) :]
        yield Put(dict(zip(free, now, strict=False)), last=last and not images)
        free = list(range(rows))


def _one_among(images: Sequence[int], sentinel: int, begun: Begun, turns: Turns) -> Iterator[Put]:
    """Put the sentinel into the first request that the batch begins, or into one not full."""
    rows = turns.grid.rows
    free = [row for row in range(rows) if row not in begun.rows]
    if begun.rows and len(images) >= len(free):
        yield from _filled(images[: len(free)], begun, rows)
        images, free, begun = images[len(free) :], list(range(rows)), Begun()
        if not images:
            yield from _staircase((), [sentinel], turns)
            return
    target = turns.request() if begun.target is None else begun.target
    row = turns.row(target, free)
    others = [k for k in free if k != row]
    now = dict(zip(others, images, strict=False))
    yield Put({row: sentinel, **now}, target)
    yield from _filled(images[len(now) :], Begun(), rows)


def _round(
    images: Sequence[int], sentinels: Sequence[int], begun: Begun, turns: Turns
) -> Iterator[Put]:
    """Let a sentinel come to every request and to every row that has images."""
    grid = turns.grid
    if begun.rows:
        free = [row for row in range(grid.rows) if row not in begun.rows]
        yield Put(dict(zip(free, images, strict=False)), last=True)
        images = images[len(free) :]
    if turns.none_waits and 0 < len(images) < len(sentinels) <= grid.rows:
        first, *others = sentinels
        row = len(images)
        yield Put({**dict(enumerate(images)), row: first}, turns.request(), last=True)
        # Whoever waits for one image does not wait for two requests in a row.
        yield Put(dict(enumerate(others)), turns.request(), last=True, beside=True)
    elif turns.none_waits and not images and len(sentinels) <= grid.rows:
        # As a run begins: nothing is there to prove, so one request is enough.
        yield Put(dict(enumerate(sentinels)), turns.request(), last=True)
    elif len(sentinels) >= grid.places:
        yield from _filled(images, Begun(), grid.rows, last=True)
        for first in range(0, len(sentinels), grid.rows):
            now = sentinels[first : first + grid.rows]
            yield Put(dict(enumerate(now)), turns.request(), last=True, after=first == 0)
    else:
        yield from _staircase(images, sentinels, turns)


def _staircase(images: Sequence[int], sentinels: Sequence[int], turns: Turns) -> Iterator[Put]:
    """Give every sentinel a request, with images in rows to which a later sentinel comes."""
    rows, count = turns.grid.rows, len(sentinels)
    beside = turns.grid.beside(count) if count >= rows else 0
    before = -(-max(0, len(images) - beside) // rows) * rows
    yield from _filled(images[:before], Begun(), rows, last=True)
    images = images[before:]
    for number, sentinel in enumerate(sentinels):
        left, target = count - number, turns.request()
        if left <= rows <= count:
            row, others = left - 1, list(range(left - 1))
        else:
            row = turns.row(target, range(rows))
            others = [k for k in range(rows) if k != row] if count >= rows else []
        now = dict(zip(others, images, strict=False))
        images = images[len(now) :]
        # What is computed at the same time may end later than this one.
        yield Put({row: sentinel, **now}, target, last=True, after=left <= rows)
