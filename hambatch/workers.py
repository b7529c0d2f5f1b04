"""The parent's side of a worker process: start it, keep it fed, take its answers."""

import multiprocessing
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

from hambatch import worker
from hambatch.errors import BackendError
from hambatch.sources.reading import Item
from hambatch.worker import Answer, Finished, Job, Ready, Refused, StageTimes, Touched

STOP_SECONDS = 5.0

LAST_WORDS = 4000
"""Characters of a dead worker's log that its error message shows."""


class WorkerLost(BackendError):
    """A worker died or hung; ``cause`` says which, in a few words.

    ``hung`` tells the two apart.
    """

    hung = False

    def __init__(self, cause: str, last_words: str) -> None:
        super().__init__(
            f"the worker process {cause}; its last words:\n{last_words or '(none)'}\n"
            "Next: run the same command again"
        )
        self.cause = cause


class Worker:
    """One spawned process; use it as a context manager.

    Parameters
    ----------
    patience
        Seconds without an answer after which the process counts as hung and is
        killed; loading the engine is not counted.

    Attributes
    ----------
    ready
        What the worker said when it had loaded its engine; None before.
    stage_times
        Where its time went; filled when the answers have all been taken.
    troubles
        How many of its batches were not trusted, and why; filled likewise.
    touched
        Of a worker that goes one by one: the file that it decodes; None while it reads.
    """

    def __init__(self, job: Job, patience: float) -> None:
        self._patience = patience
        self._log = Path(tempfile.mkdtemp(prefix="hambatch-")) / "worker.log"
        # Spawn: a fork would copy the parent's threads' locks into the child.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._connection: Connection = ours
        self._process = context.Process(
            target=worker.run, args=(theirs, job, self._log), daemon=True
        )
        self._process.start()
        theirs.close()
        self.ready: Ready | None = None
        self.stage_times = StageTimes()
        self.troubles: dict[str, int] = {}
        self.touched: Touched | None = None

    def __enter__(self) -> "Worker":
        """Return the running worker."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the process, politely first."""
        if error is not None:
            self._process.terminate()
        self._connection.close()
        self._process.join(STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        shutil.rmtree(self._log.parent, ignore_errors=True)

    def wait_ready(self) -> Ready:
        """Wait until the engine is loaded.

        Raises
        ------
        HambatchError
            As the worker's own loading raised it.
        WorkerLost
            If the worker died.
        """
        if self.ready is None:
            message = self._receive()
            if not isinstance(message, Ready):
                raise BackendError(f"the worker answered {message!r}, wanted Ready")
            self.ready = message
        return self.ready

    def answers(self, groups: Iterable[Sequence[Item]]) -> Iterator[Answer]:
        """Send groups, a bounded number ahead; yield their answers in order.

        Raises
        ------
        WorkerLost
            If the process dies, or does not answer in time.
        """
        window = self.wait_ready().window
        unanswered = 0
        for group in groups:
            self._send(list(group))
            unanswered += 1
            if unanswered >= window:
                yield self._answer()
                unanswered -= 1
        self._send(None)
        for _ in range(unanswered):
            yield self._answer()
        message = self._receive()
        if isinstance(message, Finished):
            self.stage_times = replace(message.stage_times)
            self.troubles = message.troubles

    def _answer(self) -> Answer:
        self.touched = None
        message = self._awaited()
        if isinstance(message, Touched):
            self.touched = message
            message = self._awaited()
        if not isinstance(message, Answer):
            raise BackendError(f"the worker answered {message!r}, wanted a group's scores")
        return message

    def _awaited(self) -> object:
        if not self._connection.poll(self._patience):
            self._process.kill()
            lost = WorkerLost(f"gave no answer for {self._patience:g} s", self._last_words())
            lost.hung = True
            raise lost
        return self._receive()

    def _send(self, group: list[Item] | None) -> None:
        try:
            self._connection.send(group)
        except (BrokenPipeError, ConnectionResetError) as error:
            # It may have said why before it left.
            while self._connection.poll(0):
                self._receive()
            raise self._death() from error

    def _receive(self) -> object:
        try:
            message: object = self._connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._death() from error
        if isinstance(message, Refused):
            raise message.error
        return message

    def _death(self) -> WorkerLost:
        self._process.join(STOP_SECONDS)
        code = self._process.exitcode
        cause = f"died of signal {-code}" if code and code < 0 else f"died with exit code {code}"
        return WorkerLost(cause, self._last_words())

    def _last_words(self) -> str:
        said = self._log.read_text(errors="replace").strip() if self._log.is_file() else ""
        return said[-LAST_WORDS:]
