"""Which rows no known picture has vouched for yet: of a batch, and of a slot."""

from collections import defaultdict
from collections.abc import Iterable


class Ledger:
    """Remembers images until a sentinel that was answered after them comes back right.

    Parameters
    ----------
    patience
        Images that a slot may carry unproven before ``overdue`` asks for a
        sentinel in every slot: what is remembered stays bounded.

    Attributes
    ----------
    overdue
        Whether a slot ran out of patience; whoever acts on it sets it back.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._since: list[int] = []
        self._in_slot: defaultdict[int, list[int]] = defaultdict(list)
        self.overdue = False

    def carry(self, index: int, slot: int) -> None:
        """An image was scored in a slot."""
        self._since.append(index)
        self._in_slot[slot].append(index)
        if len(self._in_slot[slot]) % self._patience == 0:
            self.overdue = True

    def fail(self, index: int) -> None:
        """An image was answered without being scored."""
        self._since.append(index)

    def prove(self, slots: Iterable[int]) -> None:
        """Sentinels in these slots, and no other of their batch, came back: all right."""
        self._since.clear()
        for slot in slots:
            self._in_slot.pop(slot, None)

    def suspects(self, slots: Iterable[int]) -> list[int]:
        """Images since the last good sentinel, and those of wrong slots since theirs; sorted."""
        of_slots = (index for slot in slots for index in self._in_slot[slot])
        return sorted({*self._since, *of_slots})
