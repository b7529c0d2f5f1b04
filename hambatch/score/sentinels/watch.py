"""Sentinels: known pictures that go through a run, so that a wrong answer does not go unseen.

A backend can answer wrongly without an error: a driver that computes in another
precision, a slot whose memory is damaged, a batch answered with another's
scores. So known pictures take the path of all others: alone at the start, at
every slot in turn during the run, and in every slot at its end. The first answer
to each is compared with the engine's record, the others with that answer.
"""

import random
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hambatch.engines.loading import Engine
from hambatch.engines.probabilities import softmax
from hambatch.engines.synthetic import write_sentinel_images
from hambatch.errors import SentinelError
from hambatch.score.sentinels.reference import Reference, labelled
from hambatch.score.worker.protocol import Answer
from hambatch.sources.reading import Item
from hambatch.system.files import refusing
from hambatch.system.text import encode_name


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


HELD_AT_MOST = 4096
"""Images that may wait to be vouched for, before every slot is proven at once."""


SEED = 0
"""Of which picture goes to which slot when: the same in every run."""


@dataclass(frozen=True)
class _Use:
    """One sentinel on its way: which picture, in which batch with which images."""

    picture: int
    batch: int
    images: Sequence[Item]


class SentinelWatch:
    """Adds sentinels to the groups of a run, and takes them out of its answers.

    Parameters
    ----------
    batch_size
        Most files a group may hold, its sentinel included.
    every
        Every how many groups of images one carries a sentinel. A slot is
        visited once in ``batch_size`` of them.
    backend
        As the table names it; if empty, the engine's wider tolerance holds.
    scratch
        Where to draw the pictures of an engine that has none; default: the
        system's temporary folder.

    Attributes
    ----------
    checked
        Sentinels that came back right.
    """

    def __init__(
        self,
        engine: Engine,
        batch_size: int,
        every: int = 1,
        backend: str = "",
        scratch: Path | None = None,
    ) -> None:
        spec = engine.manifest.sentinels
        self._manifest = engine.manifest
        self._size, self._every = batch_size, every
        self._drawn: tempfile.TemporaryDirectory[str] | None = None
        self._pictures = [engine.folder / picture.file for picture in spec.pictures]
        if not self._pictures:
            self._drawn = tempfile.TemporaryDirectory(prefix="hambatch-", dir=scratch)
            folder = Path(self._drawn.name)
            with refusing(folder):
                self._pictures = [folder / name for name in write_sentinel_images(folder)]
        self._reference = Reference(spec, backend)
        # Twice the distance between visits: only failures that keep shifting slots get there.
        self._ledger = Ledger(2 * batch_size * every, max(HELD_AT_MOST, 32 * batch_size))
        self._vouched: list[int] = []
        self._sent: dict[int, _Use] = {}
        self._chance = random.Random(SEED)  # noqa: S311
        self._uses, self._batches, self._widest = count(1), 0, 0
        self.checked = 0

    def __enter__(self) -> "SentinelWatch":
        """Return the watch."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove pictures that were drawn for this run."""
        if self._drawn is not None:
            self._drawn.cleanup()

    def groups(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Cut images into groups of at most ``batch_size``, sentinels among them.

        The first group holds the sentinels alone; the last has one in every
        slot that carried an image, so that each is proven after its last.
        """
        for group in self._composed(iter(items)):
            self._batches += 1
            yield group

    def check(self, answer: Answer) -> Answer:
        """Compare an answer's sentinels with what they should be; give it without them.

        Answers are taken in the order of their groups; sentinels are found by
        index, whatever group they come back in.

        Raises
        ------
        SentinelError
            If one is off, not a number or failed. It names the batch and holds
            the indices of the rows that can no longer be trusted.
        """
        failed = [failure for failure in answer.failures if failure.index < 0]
        slots = np.flatnonzero(answer.indices < 0).tolist()
        self._note_images(answer)
        wrong = self._wrong(answer, slots)
        if wrong or failed:
            what = list(wrong.values()) + [(f.index, f.reason) for f in failed]
            raise self._error(what, self._ledger.suspects(wrong))
        if slots:
            self._vouched += self._ledger.prove(slots)
            self.checked += len(slots)
        for index in answer.indices[slots].tolist():
            del self._sent[index]
        return answer.without(slots)

    def vouched(self) -> list[int]:
        """Give the images that the answers checked since the last call have vouched for.

        An image is vouched for when a sentinel, answered later in the same
        slot of the same worker, has come back right.
        """
        vouched, self._vouched = self._vouched, []
        return vouched

    def forget(self) -> None:
        """Let go of what is not vouched for: the worker that answered it is lost."""
        self._ledger.forget()

    def summary(self) -> dict[str, Any]:
        """What the record of a run says about its sentinels."""
        return {"checked": self.checked, "every": self._every, **self._reference.summary()}

    def _composed(self, items: Iterator[Item]) -> Iterator[list[Item]]:
        yield from self._alone(len(self._pictures))
        slots = self._slots()
        for number in count(1):
            if self._ledger.overdue:
                self._ledger.overdue = False
                yield from self._alone(self._widest)
            due = number % self._every == 0
            if due and self._size == 1:
                yield from self._alone(1)
                due = False
            images = list(islice(items, self._size - due))
            if not images:
                break
            self._widest = max(self._widest, len(images) + due)
            yield self._among(images, next(slots)) if due else images
        yield from self._alone(self._widest)

    def _slots(self) -> Iterator[int]:
        # One permutation, over and over: between two visits of a slot lie all the others.
        order = list(range(self._size))
        self._chance.shuffle(order)
        while True:
            yield from order

    def _alone(self, width: int) -> Iterator[list[Item]]:
        """Sentinels in as many slots, in groups of at most ``batch_size``."""
        for start in range(0, width, self._size):
            yield [self._sentinel([]) for _ in range(min(self._size, width - start))]

    def _among(self, images: list[Item], slot: int) -> list[Item]:
        slot = min(slot, len(images))
        return [*images[:slot], self._sentinel(images), *images[slot:]]

    def _sentinel(self, images: Sequence[Item]) -> Item:
        use, pictures = next(self._uses), len(self._pictures)
        # First all of them; then by chance, so that a slot that repeats itself is not asked the
        # same again and again.
        picture = use - 1 if use <= pictures else self._chance.randrange(pictures)
        self._sent[-use] = _Use(picture, self._batches + 1, images)
        return Item(-use, self._pictures[picture], sentinel=True)

    def _note_images(self, answer: Answer) -> None:
        for slot, index in enumerate(answer.indices.tolist()):
            if index >= 0:
                self._ledger.carry(index, slot)
        for failure in answer.failures:
            if failure.index >= 0:
                self._ledger.fail(failure.index)

    def _wrong(self, answer: Answer, slots: list[int]) -> dict[int, tuple[int, str]]:
        """Slot to index and complaint, of the sentinels that are off."""
        logits = answer.logits[slots].astype(np.float64)
        # Infinities give NaN, which is off like any other.
        with np.errstate(all="ignore"):
            found = softmax(answer.logits[slots])
        wrong = {}
        for k, slot in enumerate(slots):
            index = int(answer.indices[slot])
            picture = self._sent[index].picture
            miss = self._reference.miss(picture, found[k], logits[k], answer.decoders[slot])
            if miss is not None:
                said = labelled(miss, self._manifest.classes)
                wrong[slot] = (index, f"in slot {slot} it has {said}")
        return wrong

    def _error(self, wrong: list[tuple[int, str]], suspect: list[int]) -> SentinelError:
        index, complaint = wrong[0]
        use = self._sent[index]
        more = f" ({len(wrong)} of its known pictures are)" if len(wrong) > 1 else ""
        ends = [encode_name(str(use.images[k].path)) for k in (0, -1)] if use.images else []
        images = f"of {' to '.join(ends)}" if ends else "of known pictures only"
        return SentinelError(
            f"the known picture {self._pictures[use.picture].name} came back wrong in batch "
            f"{use.batch}, {images}{more}: {complaint}. The machine or its software cannot be "
            f"trusted; {len(suspect)} rows are suspect.\n"
            f"Next: hambatch engines verify {self._manifest.name}, "
            "and run the same command again once it passes",
            suspect,
        )
