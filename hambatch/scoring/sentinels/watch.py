"""Sentinels that go through a run, so that no wrong answer goes unnoticed.

A backend can answer wrongly without an error: a driver that computes in another
precision, a slot whose memory is damaged, a batch answered with another's
scores. So sentinels take the path of all other images: alone at the start, at
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
from typing import Any

import numpy as np

from hambatch.engines.loading import Engine
from hambatch.engines.probabilities import softmax
from hambatch.engines.synthetic import write_sentinel_images
from hambatch.errors import SentinelError
from hambatch.scoring.sentinels.reference import Reference, labelled
from hambatch.scoring.worker.protocol import Answer
from hambatch.sources.folder import DRAWN_PREFIX
from hambatch.sources.reading import Item
from hambatch.system.files import refusing
from hambatch.system.text import encode_name
from hambatch.types import DoubleChecked


class Ledger:
    """Remembers images until a sentinel in their slot has come back right.

    Parameters
    ----------
    patience_of_slot, patience
        Unproven images of one slot, and of all, after which a sentinel in every slot is
        ``overdue``: what is remembered stays bounded.
    """

    def __init__(self, patience_of_slot: int, patience: int) -> None:
        self._patience_of_slot, self._patience = patience_of_slot, patience
        self._since: list[int] = []
        self._failed: list[int] = []
        self._in_slot: defaultdict[int, list[int]] = defaultdict(list)
        self._unproven = 0
        self.overdue = False

    def carry(self, index: int, slot: int) -> None:
        """Remember an image that was scored in a slot."""
        self._since.append(index)
        self._in_slot[slot].append(index)
        self._unproven += 1
        in_slot = len(self._in_slot[slot])
        if in_slot % self._patience_of_slot == 0 or self._unproven % self._patience == 0:
            self.overdue = True

    def fail(self, index: int) -> None:
        """Remember an image that was answered without being scored."""
        self._since.append(index)
        self._failed.append(index)
        if len(self._failed) % self._patience == 0:
            self.overdue = True

    def prove(self, slots: Iterable[int]) -> list[int]:
        """Give the images that right sentinels in these slots prove, and failed ones.

        All sentinels of the batch are meant; a failed image has no slot.
        """
        proven, self._failed = self._failed, []
        self._since.clear()
        for slot in slots:
            proven += self._in_slot.pop(slot, [])
        self._unproven = sum(map(len, self._in_slot.values()))
        return proven

    def suspects(self, slots: Iterable[int]) -> list[int]:
        """Images since the last good sentinel, and those of wrong slots since theirs; sorted."""
        of_slots = (index for slot in slots for index in self._in_slot[slot])
        return sorted({*self._since, *of_slots})

    def forget(self) -> None:
        """Drop all that is unproven."""
        self._since.clear()
        self._failed.clear()
        self._in_slot.clear()
        self._unproven = 0


HELD_AT_MOST = 4096
"""Images that may wait for proof, before every slot is proven at once."""

BATCH_BYTES = 16_000_000
"""Of images that come with their bytes, what a batch holds before it counts as full."""

SEED = 0
"""Of the order of slots and sentinels: the same in every run."""


@dataclass(frozen=True)
class _Use:
    """One sentinel on its way: which, and in which batch with which images."""

    sentinel: int
    batch: int
    images: Sequence[Item]


class SentinelWatch:
    """Adds sentinels to the batches of a run, and takes them out of its answers.

    Parameters
    ----------
    batch_size
        Most files in a batch, its sentinel included.
    every
        One batch of images in so many carries a sentinel, which visits each slot once in
        ``batch_size`` of them.
    backend
        As the table names it; if empty, the engine's wider tolerance holds.
    scratch
        Where to draw sentinels for an engine without any; default: the temporary folder.
    stays
        Whether one process answers several calls of :meth:`batches`: all sentinels come first in
        the first of them only, and each proves its own slots.

    Attributes
    ----------
    checked
        Sentinels that came back right.
    twice
        What ``--double-check`` computed twice, and found equal.
    """

    def __init__(
        self,
        engine: Engine,
        batch_size: int,
        every: int = 1,
        backend: str = "",
        scratch: Path | None = None,
        *,
        stays: bool = False,
    ) -> None:
        spec = engine.manifest.sentinels
        self._manifest = engine.manifest
        self._size, self._every, self._stays = batch_size, every, stays
        self._drawn: tempfile.TemporaryDirectory[str] | None = None
        self._files = [engine.folder / sentinel.file for sentinel in spec.pictures]
        if not self._files:
            self._drawn = tempfile.TemporaryDirectory(
                prefix=DRAWN_PREFIX, dir=scratch, ignore_cleanup_errors=True
            )
            folder = Path(self._drawn.name)
            with refusing(folder):
                self._files = [folder / name for name in write_sentinel_images(folder)]
        self._reference = Reference(spec, backend)
        # Twice the distance between visits: only failures that keep shifting slots get there.
        self._ledger = Ledger(2 * batch_size * every, max(HELD_AT_MOST, 32 * batch_size))
        self._proven: list[int] = []
        self._sent: dict[int, _Use] = {}
        self._chance = random.Random(SEED)  # noqa: S311
        self._uses, self._batches, self._widest = count(1), 0, 0
        self.checked, self.twice = 0, DoubleChecked()

    def __enter__(self) -> "SentinelWatch":
        """Return the watch."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Remove the sentinels that were drawn for this run."""
        if self._drawn is not None:
            self._drawn.cleanup()

    def batches(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Cut images into batches of at most ``batch_size``, sentinels among them.

        The first batch holds sentinels only; the last has one in every
        slot that carried an image, so that each is proven after its last.
        """
        for batch in self._composed(iter(items)):
            self._batches += 1
            yield batch

    def check(self, answer: Answer) -> Answer:
        """Compare an answer's sentinels with what they should be; give it without them.

        Answers are taken in the order of their batches; sentinels are found by
        index, whatever batch they come back in.

        Raises SentinelError if one is off, not a number or failed. It names the batch and holds the
        indices of the images that are suspect.
        """
        self.twice += DoubleChecked(answer.twice.requests, answer.twice.images)
        failed = [failure for failure in answer.failures if failure.index < 0]
        slots = np.flatnonzero(answer.indices < 0).tolist()
        self._note_images(answer)
        wrong = self._wrong(answer, slots)
        if wrong or failed:
            what = list(wrong.values()) + [(f.index, f.reason) for f in failed]
            raise self._error(what, self._ledger.suspects(wrong))
        if slots:
            self._proven += self._ledger.prove(slots)
            self.checked += len(slots)
        for index in answer.indices[slots].tolist():
            del self._sent[index]
        return answer.without(slots)

    def suspects(self, answer: Answer) -> list[int]:
        """Give the images that may be wrong if some of this answer, not checked yet, are."""
        self._note_images(answer)
        return self._ledger.suspects([found.slot for found in answer.twice.differing])

    def proven(self) -> list[int]:
        """Give the images that the answers checked since the last call have proven.

        An image is proven by a later sentinel in the same slot of the same worker, scored right.
        """
        proven, self._proven = self._proven, []
        return proven

    def forget(self) -> None:
        """Drop what is unproven: the worker that answered it is lost."""
        self._ledger.forget()

    def summary(self) -> dict[str, Any]:
        """What the record of a run says about its sentinels."""
        return {"checked": self.checked, "every": self._every, **self._reference.summary()}

    def prove_soon(self) -> None:
        """Let sentinels in every slot prove all images so far, before further ones come."""
        self._ledger.overdue = True

    def _composed(self, items: Iterator[Item]) -> Iterator[list[Item]]:
        if self._stays:
            # Nothing of an earlier call is under way, or of use.
            self._ledger.forget()
            self._sent.clear()
            self._widest = 0
        if not (self._stays and self._batches):
            yield from self._alone(len(self._files))
        slots = self._slots()
        for number in count(1):
            if self._ledger.overdue:
                self._ledger.overdue = False
                yield from self._alone(self._widest)
            due = number % self._every == 0
            if due and self._size == 1:
                yield from self._alone(1)
                due = False
            images = list(_until_full(islice(items, self._size - due)))
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
        """Sentinels in as many slots, in batches of at most ``batch_size``."""
        for start in range(0, width, self._size):
            yield [self._sentinel([]) for _ in range(min(self._size, width - start))]

    def _among(self, images: list[Item], slot: int) -> list[Item]:
        slot = min(slot, len(images))
        return [*images[:slot], self._sentinel(images), *images[slot:]]

    def _sentinel(self, images: Sequence[Item]) -> Item:
        use, known = next(self._uses), len(self._files)
        # First all of them; then by chance, so that a slot that repeats its last answer does
        # not get the same sentinel again and again.
        sentinel = use - 1 if use <= known else self._chance.randrange(known)
        self._sent[-use] = _Use(sentinel, self._batches + 1, images)
        return Item(-use, self._files[sentinel], sentinel=True)

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
            sentinel = self._sent[index].sentinel
            miss = self._reference.miss(sentinel, found[k], logits[k], answer.decoders[slot])
            if miss is not None:
                what = labelled(miss, self._manifest.classes)
                wrong[slot] = (index, f"in slot {slot} it has {what}")
        return wrong

    def _error(self, wrong: list[tuple[int, str]], suspect: list[int]) -> SentinelError:
        index, complaint = wrong[0]
        use = self._sent[index]
        more = f" ({len(wrong)} of its sentinels had)" if len(wrong) > 1 else ""
        ends = [encode_name(str(use.images[k].path)) for k in (0, -1)] if use.images else []
        images = f"of {' to '.join(ends)}" if ends else "of sentinels only"
        return SentinelError(
            f"the sentinel {self._files[use.sentinel].name} had wrong scores in batch "
            f"{use.batch}, {images}{more}: {complaint}; the machine or its software computes "
            f"wrongly. {len(suspect)} rows are suspect.\n"
            f"Next: hambatch engines verify {self._manifest.name}, "
            "and run the same command again once it passes",
            suspect,
        )


def _until_full(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items up to the one that makes :data:`BATCH_BYTES` whole."""
    held = 0
    for item in items:
        yield item
        held += len(item.content or b"")
        if held >= BATCH_BYTES:
            return
