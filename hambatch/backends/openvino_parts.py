"""What OpenVINO computes together, and whose images these are."""

import threading
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.double_check import SecondScores
from hambatch.types import Batch


@dataclass
class Pending:
    """A batch of which ``left`` images are not scored yet; one to be scored twice counts twice.

    ``places`` are as in :class:`hambatch.types.Scored`.
    """

    batch: Batch
    rows: list[NDArray[np.float32]]
    places: NDArray[np.int64]
    left: int
    second: SecondScores | None
    done: threading.Event = field(default_factory=threading.Event)


@dataclass
class Part:
    """Neighbouring images in a request: from ``first`` on in the batch, from ``place`` on there."""

    pending: Pending
    first: int
    images: NDArray[np.uint8]
    place: int

    @property
    def there(self) -> slice:
        """Where its images are in the batch."""
        return slice(self.first, self.first + len(self.images))

    @property
    def places(self) -> list[int]:
        """Where they are in the request."""
        return list(range(self.place, self.place + len(self.images)))


class Sent(NamedTuple):
    """What goes with a request: where it is computed, and whose images these are.

    ``before``: where they were computed the first time, if this is the second. ``number`` counts
    the first times; ``beside``: whether all before it count as done when it begins.
    """

    slot: int
    parts: list[Part]
    images: NDArray[np.uint8]
    before: int | None = None
    number: int = -1
    beside: bool = False
