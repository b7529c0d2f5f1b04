"""Which images no sentinel has vouched for yet, and which a wrong one makes suspect."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]
"""int64 ``[n, 4]``, or ``[n, views, 4]``: request, row in it, a number that grows with every
request, and the number up to which all others were done before it."""


class _LastGood:
    """For each request, or each row, the number of the last sentinel that was right."""

    def __init__(self) -> None:
        self._number = np.full(1, -1, np.int64)

    def note(self, which: NDArray[np.int64], numbers: NDArray[np.int64]) -> None:
        self._reach(which)
        np.maximum.at(self._number, which, numbers)

    def of(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        self._reach(which)
        return self._number[which]

    def _reach(self, which: NDArray[np.int64]) -> None:
        missing = int(which.max(initial=0)) + 1 - len(self._number)
        if missing > 0:
            self._number = np.append(self._number, np.full(missing, -1, np.int64))


class Ledger:
    """Remembers images until right sentinels have come to their request and to their row.

    To the request it has to come with the image or later, to the row after the image was computed;
    where an image has several views, each of them needs both.

    Parameters
    ----------
    patience_of_place, patience
        Unproven images of one place, and of all, after which sentinels everywhere are
        ``overdue``: what is remembered stays bounded.
    """

    def __init__(self, patience_of_place: int, patience: int) -> None:
        self._patience_of_place, self._patience = patience_of_place, patience
        self._held: list[tuple[NDArray[np.int64], Places]] = []
        self._in_place: Counter[tuple[int, int]] = Counter()
        self._since: list[int] = []
        self._failed: list[int] = []
        self.overdue = False
        self._requests, self._rows = _LastGood(), _LastGood()

    def carry(self, indices: NDArray[np.int64], places: Places) -> None:
        """Remember images, ``[n]``, that were scored in these places, ``[n, views, 4]``."""
        if not len(indices):
            return
        self._since += indices.tolist()
        self._held.append((indices, places))
        before = self._in_place.total()
        for request, row in places[:, 0, :2].tolist():
            self._in_place[request, row] += 1
            self.overdue |= self._in_place[request, row] % self._patience_of_place == 0
        self.overdue |= before // self._patience < self._in_place.total() // self._patience

    def fail(self, index: int) -> None:
        """Remember an image that was answered without being scored."""
        self._since.append(index)
        self._failed.append(index)
        self.overdue |= len(self._failed) % self._patience == 0

    def prove(self, places: Places) -> list[int]:
        """Give the images that right sentinels in these places, ``[n, 4]``, prove; and failed ones.

        All sentinels of the batch are meant; a failed image has no place.
        """
        self._requests.note(places[:, 0], places[:, 2])
        self._rows.note(places[:, 1], places[:, 3])
        proven, self._failed = self._failed, []
        self._since.clear()
        held, self._held = self._held, []
        self._in_place.clear()
        for indices, where in held:
            done = ((self._of_request(where) >= 0) & (self._of_row(where) >= 0)).all(axis=1)
            proven += indices[done].tolist()
            if not done.all():
                self._held.append((indices[~done], where[~done]))
                pairs = where[~done][:, 0, :2].tolist()
                self._in_place.update((request, row) for request, row in pairs)
        return proven

    def suspects(self, places: Places) -> list[int]:
        """Give the images since the last good sentinel, and those since the last good ones there.

        ``places``, ``[n, 4]``, are those that were wrong. Sorted.
        """
        found = set(self._since)
        for indices, where in self._held:
            in_request = np.isin(where[..., 0], places[:, 0]) & (self._of_request(where) < 0)
            in_row = np.isin(where[..., 1], places[:, 1]) & (self._of_row(where) < 0)
            found.update(indices[(in_request | in_row).any(axis=1)].tolist())
        return sorted(found)

    def forget(self) -> None:
        """Drop all that is unproven: another process answers, and counts anew."""
        self._held.clear()
        self._in_place.clear()
        self._since.clear()
        self._failed.clear()
        self._requests, self._rows = _LastGood(), _LastGood()

    def _of_request(self, where: Places) -> NDArray[np.int64]:
        """At least 0 where a right sentinel came to the request together with it, or later."""
        return self._requests.of(where[..., 0]) - where[..., 2]

    def _of_row(self, where: Places) -> NDArray[np.int64]:
        """At least 0 where a right sentinel came to the row after it was computed."""
        return self._rows.of(where[..., 1]) - where[..., 2]
