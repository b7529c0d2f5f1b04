"""Which rows no known picture has vouched for yet: of a batch, and of a slot."""

from collections import defaultdict
from collections.abc import Iterable


class Ledger:
    """Remembers images until their slot has carried a known picture, and carried it right.

    Parameters
    ----------
    patience_of_slot, patience
        Unproven images of one slot, and of all, after which ``overdue`` asks
        for a sentinel in every slot: what is remembered stays bounded.

    Attributes
    ----------
    overdue
        Whether there are too many; whoever acts on it sets it back.
    """

    def __init__(self, patience_of_slot: int, patience: int) -> None:
        self._patience_of_slot, self._patience = patience_of_slot, patience
        self._since: list[int] = []
        self._failed: list[int] = []
        self._in_slot: defaultdict[int, list[int]] = defaultdict(list)
        self._unproven = 0
        self.overdue = False

    def carry(self, index: int, slot: int) -> None:
        """An image was scored in a slot."""
        self._since.append(index)
        self._in_slot[slot].append(index)
        self._unproven += 1
        in_slot = len(self._in_slot[slot])
        if in_slot % self._patience_of_slot == 0 or self._unproven % self._patience == 0:
            self.overdue = True

    def fail(self, index: int) -> None:
        """An image was answered without being scored."""
        self._since.append(index)
        self._failed.append(index)
        if len(self._failed) % self._patience == 0:
            self.overdue = True

    def prove(self, slots: Iterable[int]) -> list[int]:
        """Sentinels in these slots, and no other of their batch, came back: all right.

        Returns
        -------
        list
            The images that are vouched for by this: those of the slots, and
            failed ones, which have none.
        """
        vouched, self._failed = self._failed, []
        self._since.clear()
        for slot in slots:
            vouched += self._in_slot.pop(slot, [])
        self._unproven = sum(map(len, self._in_slot.values()))
        return vouched

    def suspects(self, slots: Iterable[int]) -> list[int]:
        """Images since the last good sentinel, and those of wrong slots since theirs; sorted."""
        of_slots = (index for slot in slots for index in self._in_slot[slot])
        return sorted({*self._since, *of_slots})

    def forget(self) -> None:
        """Let go of all that is unproven: nobody can vouch for it any more."""
        self._since.clear()
        self._failed.clear()
        self._in_slot.clear()
        self._unproven = 0
