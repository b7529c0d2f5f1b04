"""An engine that stays loaded between calls, and rows in the order of their images."""

import pickle
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hambatch.api.images import NamedImage
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.probabilities import as_wanted
from hambatch.engines.referral import Rules
from hambatch.errors import BackendError
from hambatch.risk.decision import decided
from hambatch.scoring.plan import RunPlan
from hambatch.scoring.rows import rows_of_items
from hambatch.scoring.sentinels.watch import SentinelWatch, watch_of
from hambatch.scoring.worker.process import STOP_SECONDS
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sources.reading import Item
from hambatch.types import Row

HELD_BYTES = 512_000_000
"""Of images that come with their bytes, what is held until their rows are proven: should the worker
be lost before, they are scored again. With more, sentinels prove all rows at once."""

PAUSE_S, WAITED_S = 1.0, 10.0
"""Seconds that one image may let us wait, and all of a round together, before the rows of those
that are drawn are finished: whoever waits for images one by one gets their rows one by one."""

ROWS_IN_MEMORY = 20_000
"""Rows that wait in memory for those of earlier images; more wait on disk."""


class LoadedEngine:
    """A worker that keeps its engine loaded, and the sentinels that prove its answers.

    Attributes
    ----------
    working
        To be held by the thread that draws rows, while it does.
    closed
        Whether no row can be drawn any more.
    """

    def __init__(self, folder: Path, plan: RunPlan) -> None:
        self._folder, self._plan = folder, plan
        self._engine: Engine | None = None
        self._watch: SentinelWatch | None = None
        self._watched = 0
        self._owned = ExitStack()
        self.working, self.closed = threading.RLock(), False
        self._worker = SupervisedWorker(plan.job, stays=True)

    def close(self) -> None:
        """End the worker; for any thread, and more than once.

        A thread that draws rows meanwhile gets an error, and then it ends the worker itself.
        """
        self.closed = True
        self._worker.abandon()
        if self.working.acquire(timeout=STOP_SECONDS):
            try:
                self._worker.end()
                self._owned.close()
            finally:
                self.working.release()

    def rows(self, images: Iterable[NamedImage]) -> Iterator[Row]:
        """Yield the rows of images, in the order of their indices, which count from 0.

        Raises what drawing the images raises, after the rows of those before.
        """
        drawn = _Drawn(iter(images), self._plan.rules)
        try:
            yield from self._rows(drawn)
        except GeneratorExit:
            raise
        except BaseException:
            self._worker.end()
            raise
        finally:
            if self.closed:
                self._owned.close()
        if drawn.error:
            raise drawn.error

    def _rows(self, drawn: "_Drawn") -> Iterator[Row]:
        rows, left = _InOrder(), set[int]()
        while True:
            for proven in self._round(drawn):
                rows.add((index, drawn.finished(index, row)) for index, row in proven)
                yield from rows.ready()
            if not drawn.held and drawn.exhausted:
                break
            if drawn.held and left == drawn.held.keys():
                raise BackendError(
                    "workers are lost before they get anywhere: "
                    f"{'; '.join(self._worker.lost[-3:])}.\n"
                    "Next: free memory, or take threads=1"
                )
            left = set(drawn.held)

    def _round(self, drawn: "_Drawn") -> Iterator[list[tuple[int, Row]]]:
        """Score what is left, and what is drawn until the images let us wait."""
        self._engine = self._engine or load_engine(self._folder, self._plan.job.engine_sha256)
        self._worker.ensure_running()
        self._worker.wait_ready()
        watch = self._watch_of_process(self._engine)
        manifest = as_wanted(self._engine.manifest, self._plan.used.calibration)
        items = drawn.until_pause(watch)
        for _, proven in rows_of_items(self._worker, items, manifest, watch):
            yield proven

    def _watch_of_process(self, engine: Engine) -> SentinelWatch:
        """Give the sentinels of the running process: a new one is proven from the beginning."""
        if self._watch is None or self._watched != self._worker.started:
            self._owned.close()
            every, keeps = self._plan.used.sentinel_every, self._plan.used.model_cache
            watch = watch_of(engine, self._plan.job, every, keeps=keeps, stays=True)
            self._watch = self._owned.enter_context(watch)
            self._worker.sentinel = watch.a_sentinel
            self._watched = self._worker.started
        return self._watch


class _Drawn:
    """Images that were drawn, each held until its row is proven.

    ``error`` is what drawing the next one raised; nothing is drawn after it.
    """

    def __init__(self, images: Iterator[NamedImage], rules: Rules) -> None:
        self._images, self._rules = images, rules
        self.held: dict[int, NamedImage] = {}
        self.exhausted, self.error = False, None
        self._bytes, self._proving = 0, False

    exhausted: bool
    error: Exception | None

    def until_pause(self, watch: SentinelWatch) -> Iterator[tuple[str, Item]]:
        """Yield what is held, then draw until an image lets us wait."""
        for index in sorted(self.held):
            yield self.held[index].name, self.held[index].item
        waited = 0.0
        while not self.exhausted and waited < WAITED_S:
            before = time.monotonic()
            image = self._next()
            pause = time.monotonic() - before
            if image is None:
                return
            self._hold(image, watch)
            yield image.name, image.item
            waited += WAITED_S if pause > PAUSE_S else pause

    def _next(self) -> NamedImage | None:
        try:
            image = next(self._images, None)
        except Exception as error:
            self.error, image = error, None
        self.exhausted = image is None
        return image

    def _hold(self, image: NamedImage, watch: SentinelWatch) -> None:
        self.held[image.item.index] = image
        self._bytes += len(image.item.content or b"")
        if self._bytes > HELD_BYTES and not self._proving:
            self._proving = True
            watch.prove_soon()

    def finished(self, index: int, row: Row) -> Row:
        """Let go of an image; gives its row with its risk and what it carries."""
        image = self.held.pop(index)
        self._bytes -= len(image.item.content or b"")
        self._proving = self._proving and self._bytes > HELD_BYTES
        return replace(decided(row, self._rules), carried=image.carried)


class _InOrder:
    """Rows that came before those of earlier images; memory does not grow with their number."""

    def __init__(self) -> None:
        self._next, self._rows = 0, dict[int, Row]()
        self._disk: sqlite3.Connection | None = None

    def add(self, rows: Iterable[tuple[int, Row]]) -> None:
        """Keep rows by index."""
        for index, row in rows:
            if len(self._rows) < ROWS_IN_MEMORY or index == self._next:
                self._rows[index] = row
            else:
                self._put(index, row)

    def ready(self) -> Iterator[Row]:
        """Yield the rows whose turn it is."""
        while (row := self._rows.pop(self._next, None) or self._taken(self._next)) is not None:
            self._next += 1
            yield row

    def _put(self, index: int, row: Row) -> None:
        if self._disk is None:
            # A file of SQLite's own, as for `in_reading_order`; any thread may draw.
            self._disk = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._disk.execute("PRAGMA journal_mode=OFF")
            self._disk.execute("CREATE TABLE rows (at INTEGER PRIMARY KEY, row BLOB)")
        self._disk.execute("INSERT INTO rows VALUES (?, ?)", (index, pickle.dumps(row)))

    def _taken(self, index: int) -> Row | None:
        if self._disk is None:
            return None
        found = self._disk.execute("DELETE FROM rows WHERE at = ? RETURNING row", (index,))
        kept = found.fetchone()
        row: Row | None = pickle.loads(kept[0]) if kept else None  # noqa: S301 - written above
        return row
