"""How far TensorRT is while it builds, and where it is told to stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from hambatch.interrupts import Stop


class Progress(Protocol):
    """Shows the phases of a build; one phase may run inside another."""

    def start(self, phase: str, steps: int) -> None:
        """A phase of so many steps begins."""
        ...

    def step(self, phase: str) -> None:
        """One more of its steps is done."""
        ...

    def finish(self, phase: str) -> None:
        """The phase is over, complete or not."""
        ...


class NoProgress:
    """Shows nothing."""

    def start(self, phase: str, steps: int) -> None:
        """Let a phase begin."""

    def step(self, phase: str) -> None:
        """Let a step be done."""

    def finish(self, phase: str) -> None:
        """Let a phase end."""


def monitor_of(trt: Any, progress: Progress, stop: Stop) -> Any:
    """Make TensorRT's progress monitor, which ends the build at its next step after ``stop``.

    An exception may not pass through the builder: the bindings swallow it. So a second Ctrl-C,
    which is raised, is noted like the first.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._noting():
                progress.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._noting():
                progress.step(phase_name)
            return not stop.requested

        def phase_finish(self, phase_name: str) -> None:
            with self._noting():
                progress.finish(phase_name)

        @contextmanager
        def _noting(self) -> Iterator[None]:
            try:
                yield
            except KeyboardInterrupt:
                stop.requested = True

    return Monitor()
