"""How a run is cut into batches, and how many sentinels each of them gets."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Protocol

from hambatch.backends.placing import Grid
from hambatch.scoring.sentinels.ledger import Ledger
from hambatch.sources.reading import Item

BATCH_BYTES = 16_000_000
"""Of images that come with their bytes, what a batch holds before it counts as full."""

LEAST_IMAGES = 4
"""A batch counts as at least so many images: in batches of one, a sentinel comes to each fourth."""

FEW = 10
"""Sentinels of a run up to which the last batch has one, too: a fault that lasts for as long as a
batch is then found wherever it begins."""

HELD_BACK = 10**6
"""Images: more than any number of requests holds."""

STRIDE = 29
"""Slots between two sentinels' in their batches: 29 and 64 have no common divisor."""

SHARE = 0.02
"""Of a run's images, the sentinels that may go through it for all places to get one at its end."""


@dataclass(frozen=True)
class Cut:
    """A batch to be: its images, and its sentinels, from ``slot`` on or after the images."""

    images: list[Item]
    sentinels: int = 0
    slot: int | None = None


class Cutter(Protocol):
    """Cuts images into batches with sentinels, the last of which prove what came before."""

    def cut(self, items: Iterator[Item], ledger: Ledger, fewest: int = 0) -> Iterator[Cut]:
        """Yield batches; more sentinels come when the ledger says that they are overdue.

        ``fewest`` sentinels at least come as the run ends, where that costs nothing.
        """
        ...

    @property
    def between_visits(self) -> int:
        """Count the images of a place that are usually sent between two sentinels there."""
        ...


class BySlot:
    """Where a place is a slot of the batch: every slot in turn, at the end every slot used."""

    def __init__(self, size: int, every: int, chance: random.Random) -> None:
        self._size, self._every, self._chance = size, every, chance

    @property
    def between_visits(self) -> int:
        """Each slot is visited once in as many sentinels as there are slots."""
        return self._size * self._every

    def cut(self, items: Iterator[Item], ledger: Ledger, fewest: int = 0) -> Iterator[Cut]:
        """Yield batches; the last has a sentinel in every slot that carried an image."""
        widest, slots = 0, self._slots()
        for number in count(1):
            if ledger.overdue:
                ledger.overdue = False
                yield from alone(widest, self._size)
            due = number % self._every == 0
            if due and self._size == 1:
                yield from alone(1, 1)
                due = False
            images = list(_until_full(islice(items, self._size - due)))
            if not images:
                break
            widest = max(widest, len(images) + due)
            slot = min(next(slots), len(images)) if due else None
            yield Cut(images, int(due), slot)
        yield from alone(widest, self._size)

    def _slots(self) -> Iterator[int]:
        # One permutation, over and over: between two visits of a slot lie all the others.
        order = list(range(self._size))
        self._chance.shuffle(order)
        while True:
            yield from order


class ByPlace:
    """Where a place is a row of an infer request, which the backend chooses for a sentinel.

    The first batch has none: the last ones of a run prove all of them. It shares its requests with
    images, unless an image has several ``views``, which are computed batch after batch.
    """

    def __init__(self, size: int, every: int, grid: Grid, views: int = 1) -> None:
        self._size, self._grid, self._views = size, grid, views
        self._every = every * -(-LEAST_IMAGES // size)
        self._ended = True

    @property
    def between_visits(self) -> int:
        """Rows and requests are all visited in two rounds; images spread over the places."""
        images = 2 * self._grid.round * self._every * self._size * self._views
        return max(1, images // self._grid.places)

    def cut(self, items: Iterator[Item], ledger: Ledger, fewest: int = 0) -> Iterator[Cut]:
        """Yield batches; sentinels in the last come to every request and every row used."""
        ahead = _Ahead(items)
        images, batches, unproven, sentinels = 0, 0, 0, 0
        if not self._ended:
            # Images of a call that was left may wait for sentinels in any request.
            unproven, batches = HELD_BACK, 1
        self._ended = False
        for number in count(1):
            if ledger.overdue:
                ledger.overdue = False
                sentinels += self._grid.round
                yield from alone(self._grid.round, self._size)
                unproven = batches = 0
            due = number > 1 and number % self._every == 0
            batch = ahead.batch(self._room(number, due=due))
            images, unproven, batches = images + len(batch), unproven + len(batch), batches + 1
            if ahead.exhausted:
                beside = self._grid.beside(self._grid.round)
                if due and sentinels + self._grid.round < FEW and len(batch) > beside > 0:
                    yield Cut(batch[:-beside], 1)
                    batch, batches = batch[-beside:], batches + 1
                spare = images * SHARE - sentinels
                yield from self._last(batch, unproven, batches, spare, fewest)
                self._ended = True
                return
            sentinels += due
            if due and self._size == 1:
                yield from alone(1, 1)
                due = False
            # Another slot each time: what decodes a batch has places of its own.
            yield Cut(batch, int(due), number * STRIDE % (len(batch) + 1) if due else None)

    def _room(self, number: int, *, due: bool) -> int:
        """Count the images of a batch that leave room for its sentinel.

        The first has room for a request: so the first sentinel comes as soon as the others do.
        """
        if number == 1 and self._size > 2 * self._grid.rows:
            return self._size - self._grid.rows
        return self._size - (due and self._size > 1)

    def _last(
        self, images: list[Item], unproven: int, batches: int, most: float, fewest: int
    ) -> Iterator[Cut]:
        """End a run: the last batch, and sentinels that prove all that is unproven."""
        if not images:
            return
        grid, size = self._grid, self._size
        # Rows that stay empty cost as much as others.
        wanted = max(grid.needed(unproven, batches), min(fewest, grid.rows))
        if self._views > 1:
            yield Cut(images)
            yield from alone(grid.round, size)
        elif grid.places <= min(most, size):
            yield Cut(images)
            yield from alone(grid.places, size)
        elif len(images) + wanted <= size:
            yield Cut(images, wanted)
        else:
            wanted = max(grid.needed(unproven, batches + 1), min(fewest, grid.rows))
            before = len(images) - max(0, size - wanted)
            yield Cut(images[:before])
            if wanted < size:
                yield Cut(images[before:], wanted)
            else:
                yield from alone(wanted, size)


class _Ahead:
    """Cuts items into batches, and knows whether another one comes."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items, self._next = items, list(islice(items, 1))

    @property
    def exhausted(self) -> bool:
        """Whether the last batch was the last one."""
        return not self._next

    def batch(self, most: int) -> list[Item]:
        """Give up to so many items."""
        found = list(_until_full(islice(chain(self._next, self._items), most)))
        self._next = list(islice(self._items, 1))
        return found


def alone(sentinels: int, size: int) -> Iterator[Cut]:
    """Sentinels without images, in batches of at most ``size``."""
    for start in range(0, sentinels, size):
        yield Cut([], min(size, sentinels - start))


def _until_full(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items up to the one that makes :data:`BATCH_BYTES` whole."""
    held = 0
    for item in items:
        yield item
        held += len(item.content or b"")
        if held >= BATCH_BYTES:
            return
