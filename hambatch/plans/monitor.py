"""What TensorRT says while it builds: how far it is, and what went wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


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


def monitor_of(trt: Any, progress: Progress) -> Any:
    """Make TensorRT's progress monitor; its ``interrupted`` says whether Ctrl-C ended the build.

    An exception may not pass through the builder, so Ctrl-C is noted and the build is told to
    stop at its next step.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._noting():
                progress.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._noting():
                progress.step(phase_name)
            return not self.interrupted

        def phase_finish(self, phase_name: str) -> None:
            with self._noting():
                progress.finish(phase_name)

        @contextmanager
        def _noting(self) -> Iterator[None]:
            try:
                yield
            except KeyboardInterrupt:
                self.interrupted = True

    return Monitor()


def log_of(trt: Any) -> Any:
    """Make a logger that prints nothing and keeps what is wrong, in ``errors``."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in {trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR}:
                self.errors.append(msg.strip())

    return Log()
