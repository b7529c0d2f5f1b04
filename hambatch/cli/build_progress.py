"""The phases of a build as bars on stderr; nothing off a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hambatch.plans.monitor import Progress


class PhaseBars:
    """One bar a phase that runs, the innermost lowest; TensorRT names them."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._bars: dict[str, Any] = {}

    def start(self, phase: str, steps: int) -> None:
        """Draw a bar."""
        from tqdm import tqdm

        self.finish(phase)
        self._bars[phase] = tqdm(
            total=steps,
            desc=phase,
            unit=" steps",
            position=len(self._bars),
            leave=False,
            disable=self._silent,
            mininterval=0.2,
        )

    def step(self, phase: str) -> None:
        """Move a bar on."""
        if phase in self._bars:
            self._bars[phase].update()

    def finish(self, phase: str) -> None:
        """Remove a bar, if it is there."""
        bar = self._bars.pop(phase, None)
        if bar is not None:
            bar.close()

    def close(self) -> None:
        """Remove all that a stopped build left."""
        for phase in list(self._bars):
            self.finish(phase)


@contextmanager
def showing_phases() -> Iterator[Progress]:
    """Give what shows the phases of a build, and take the bars away in the end."""
    bars = PhaseBars(silent=not sys.stderr.isatty())
    try:
        yield bars
    finally:
        bars.close()
