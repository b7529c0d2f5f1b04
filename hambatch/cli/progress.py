"""Progress on stderr: a bar on a terminal, a line of JSON now and then, else nothing."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from hambatch.cli.messages import messages

T = TypeVar("T")

EVERY_S = 10.0
"""Time from one line to the next."""


def progress(unit: str, label: str | None = None) -> Callable[[Iterable[T], int], Iterator[T]]:
    """Make what passes items through, showing how many of about how many went by."""

    def show(items: Iterable[T], total: int) -> Iterator[T]:
        from tqdm import tqdm

        silent, stays = not sys.stderr.isatty(), label is None
        shown = tqdm(items, label, total, stays, unit=f" {unit}", disable=silent, mininterval=0.2)
        lines = Lines(unit, total)
        for item in shown:
            yield item
            lines.step()
        lines.end()

    return show


class Lines:
    """Counts what is done, and says so every :data:`EVERY_S` and at the end, as JSON only."""

    def __init__(self, unit: str, total: int, done: int = 0) -> None:
        self._unit, self._total, self._done, self._failed = unit, total, done, 0
        self._before, self._begun = done, time.monotonic()
        self._said = self._begun
        self._wanted = messages().as_json

    def step(self, count: int = 1, failed: int = 0) -> None:
        """Count what was done, and the failed of them."""
        # What a lost worker had answered may come twice.
        self._done = min(self._done + count, self._total)
        self._failed += failed
        if self._wanted and time.monotonic() - self._said >= EVERY_S:
            self._say()

    def end(self) -> None:
        """Say how many there were."""
        if self._wanted:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        pace = (self._done - self._before) / max(self._said - self._begun, 1e-9)
        left = round((self._total - self._done) / pace, 1) if pace else None
        messages().say(
            "progress",
            f"{self._done} of {self._total} {self._unit}",
            done=self._done,
            total=self._total,
            unit=self._unit,
            failed=self._failed,
            per_second=round(pace, 2),
            seconds_left=left,
        )
