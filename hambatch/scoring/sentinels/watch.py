"""Sentinels that go through a run, so that no wrong answer goes unnoticed.

A backend can answer wrongly without an error: a driver that computes in another
precision, a slot whose memory is damaged, a batch answered with another's
scores. So sentinels take the path of all other images: in every place in turn during the run,
and at its end in every request and every row that was used. Where no earlier run on this machine
has left its answers, all sentinels come first, alone; :mod:`.reference` says what each is
compared with.
"""

import random
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from hambatch.backends.placing import Grid
from hambatch.engines.loading import Engine, engine_word
from hambatch.engines.probabilities import softmax
from hambatch.engines.synthetic import write_sentinel_images
from hambatch.errors import SentinelError
from hambatch.scoring.sentinels.batches import ByPlace, BySlot, Cut, Cutter, alone
from hambatch.scoring.sentinels.ledger import Ledger, Places
from hambatch.scoring.sentinels.own_answers import OwnAnswers, own_answers
from hambatch.scoring.sentinels.reference import EARLIER, Reference, labelled
from hambatch.scoring.worker.protocol import Answer, Job, grid_of
from hambatch.sources.folder import DRAWN_PREFIX
from hambatch.sources.reading import Item
from hambatch.system.files import refusing
from hambatch.system.text import encode_name
from hambatch.types import DoubleChecked

HELD_AT_MOST = 4096
"""Images that may wait for proof, before sentinels prove them all at once."""

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
        Most files in a batch, its sentinels included.
    every
        One batch of images in so many carries a sentinel, which visits each place in turn.
    backend
        As the table names it; if empty, the engine's wider tolerance holds.
    scratch
        Where to draw sentinels for an engine without any; default: the temporary folder.
    grid
        The backend's places; None: slots of the batch.
    views
        How many of an image are scored.
    own
        The answers of earlier runs on this machine, or where to keep those of this one; None:
        all sentinels come first, and nothing is kept.
    stays
        Whether one process answers several calls of :meth:`batches`: all sentinels come first in
        the first of them only, and each proves its own images.

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
        grid: Grid | None = None,
        views: int = 1,
        own: OwnAnswers | None = None,
        stays: bool = False,
    ) -> None:
        spec = engine.manifest.sentinels
        self._manifest, self._engine = engine.manifest, engine.folder
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
        self._own = own or OwnAnswers()
        self._reference = Reference(spec, backend, self._own.kept)
        self._chance = random.Random(SEED)  # noqa: S311
        self._cutter: Cutter = BySlot(batch_size, every, self._chance)
        if grid:
            self._cutter = ByPlace(batch_size, every, grid, views)
        # Twice the distance between visits: only failures that keep shifting places get there.
        patience = 2 * self._cutter.between_visits, max(HELD_AT_MOST, 32 * batch_size)
        self._ledger = Ledger(*patience)
        self._proven: list[int] = []
        self._sent: dict[int, _Use] = {}
        self._deck: list[int] = []
        self._uses, self._batches, self._answers = count(1), 0, count()
        self.checked, self.twice, self._all_sent = 0, DoubleChecked(), False

    def __enter__(self) -> "SentinelWatch":
        """Return the watch."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Remove the sentinels that were drawn for this run."""
        if self._drawn is not None:
            self._drawn.cleanup()

    @property
    def a_sentinel(self) -> Item:
        """One that may be sent to try a process; its answer is for nobody here."""
        return Item(-1, self._files[0], sentinel=True)

    def batches(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Cut images into batches of at most ``batch_size``, sentinels among them.

        Without answers of earlier runs the first batch holds sentinels only; the last ones come
        to every place that the images need, so that each is proven after its last.
        """
        self._all_sent = False
        for cut in self._composed(iter(items)):
            self._batches += 1
            if cut.sentinels > max(1, len(self._deck)):
                # All of them differ, as far as there are enough.
                self._deck.clear()
            added = [self._sentinel(cut.images) for _ in range(cut.sentinels)]
            at = len(cut.images) if cut.slot is None else cut.slot
            yield [*cut.images[:at], *added, *cut.images[at:]]
        self._all_sent = True
        self._keep_own()

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
        places = self._note_images(answer)
        wrong = self._wrong(answer, slots, places)
        if wrong or failed:
            what = list(wrong.values()) + [(f.index, f.reason) for f in failed]
            raise self._error(what, self._ledger.suspects(places[list(wrong)]))
        if slots:
            self._proven += self._ledger.prove(places[slots])
            self.checked += len(slots)
        for index in answer.indices[slots].tolist():
            del self._sent[index]
        self._keep_own()
        return answer.without(slots)

    def suspects(self, answer: Answer) -> list[int]:
        """Give the images that may be wrong if some of this answer, not checked yet, are."""
        places = self._note_images(answer)
        return self._ledger.suspects(places[[found.slot for found in answer.twice.differing]])

    def proven(self) -> list[int]:
        """Give the images that the answers checked since the last call have proven.

        An image is proven by sentinels of the same worker that were scored right: one in its
        request, with it or later, and one in its row after it.
        """
        proven, self._proven = self._proven, []
        return proven

    def forget(self) -> None:
        """Drop what is unproven: the worker that answered it is lost."""
        self._ledger.forget()

    def summary(self) -> dict[str, Any]:
        """What the record of a run says about its sentinels."""
        own = self._own.state
        return {"checked": self.checked, "every": self._every, "own_answers": own} | (
            self._reference.summary()
        )

    def prove_soon(self) -> None:
        """Let sentinels prove all images so far, before further ones come."""
        self._ledger.overdue = True

    def _keep_own(self) -> None:
        """Keep this machine's answers once a run has ended right that saw each of them twice."""
        # An answer that was wrong once would stop every later run.
        done = self._all_sent and not self._sent
        if done and not self._own.kept and len(self._reference.confirmed) == len(self._files):
            self._own.keep(self._reference.answers)

    def _composed(self, items: Iterator[Item]) -> Iterator[Cut]:
        if self._stays:
            # Nothing of an earlier call is under way, or of use.
            self._ledger.forget()
            self._sent.clear()
        fewest = 0
        if not self._own.kept and not (self._stays and self._batches):
            # They come again as the run ends: what came back equal is kept.
            fewest = len(self._files)
            yield from alone(fewest, self._size)
        yield from self._cutter.cut(items, self._ledger, fewest)

    def _sentinel(self, images: Sequence[Item]) -> Item:
        if not self._deck:
            # First all of them in order; then by chance, so that a place that repeats its last
            # answer does not get the same sentinel again and again.
            self._deck = list(range(len(self._files)))
            if self._sent or self.checked:
                self._chance.shuffle(self._deck)
        use, sentinel = next(self._uses), self._deck.pop(0)
        self._sent[-use] = _Use(sentinel, self._batches, images)
        return Item(-use, self._files[sentinel], sentinel=True)

    def _note_images(self, answer: Answer) -> Places:
        """Remember the images; gives the places of all of the answer, ``[n, 4]``."""
        places = answer.places
        if places is None:
            count = len(answer.indices)
            slots, number = np.arange(count), np.full(count, next(self._answers))
            places = np.stack([np.zeros_like(slots), slots, number, number], axis=1)[:, np.newaxis]
        images = answer.indices >= 0
        self._ledger.carry(answer.indices[images], places[images])
        for failure in answer.failures:
            if failure.index >= 0:
                self._ledger.fail(failure.index)
        first: Places = places[:, 0]
        return first

    def _wrong(
        self, answer: Answer, slots: list[int], places: Places
    ) -> dict[int, tuple[int, str]]:
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
                request, row = places[slot, :2].tolist()
                where = f"slot {row}" if answer.places is None else f"request {request}, row {row}"
                wrong[slot] = (index, f"in {where} it has {what}")
        return wrong

    def _error(self, wrong: list[tuple[int, str]], suspect: list[int]) -> SentinelError:
        index, complaint = wrong[0]
        renews = ", which takes this machine's answers anew," if EARLIER in complaint else ","
        use = self._sent[index]
        more = f" ({len(wrong)} of its sentinels had)" if len(wrong) > 1 else ""
        ends = [encode_name(str(use.images[k].path)) for k in (0, -1)] if use.images else []
        images = f"of {' to '.join(ends)}" if ends else "of sentinels only"
        return SentinelError(
            f"the sentinel {self._files[use.sentinel].name} had wrong scores in batch "
            f"{use.batch}, {images}{more}: {complaint}; the machine or its software computes "
            f"wrongly. {len(suspect)} rows are suspect.\n"
            f"Next: hambatch engines verify {shlex.quote(engine_word(self._engine))}{renews} "
            "and run the same command again once it passes",
            suspect,
        )


def watch_of(
    engine: Engine,
    job: Job,
    every: int = 1,
    scratch: Path | None = None,
    *,
    keeps: bool = True,
    anew: bool = False,
    stays: bool = False,
) -> SentinelWatch:
    """Make the watch of a worker with this job; arguments as of :class:`SentinelWatch`.

    Parameters
    ----------
    keeps
        Whether answers of earlier runs count, and those of this one are kept.
    anew
        Whether this run's answers replace those of earlier ones.
    """
    return SentinelWatch(
        engine,
        job.batch_size,
        every,
        job.backend_name,
        scratch,
        grid=grid_of(job),
        views=job.tta,
        own=own_answers(engine, job, wanted=keeps, anew=anew),
        stays=stays,
    )
