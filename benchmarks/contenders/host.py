"""A process that holds one contender: idle but for its turns.

TensorFlow, PyTorch, OpenVINO and DALI have thread pools of their own; in one process
they would disturb each other.
"""

import importlib
import multiprocessing
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from contenders import Contender
from contenders.meter import Run, Spent
from contenders.task import Setting, Task


@dataclass(frozen=True)
class Rated:
    """What one setting reached."""

    setting: Setting
    run: Run

    @property
    def images_per_s(self) -> float:
        """The rate."""
        return self.run.images_per_s


class Host:
    """The parent's side; use it as a context manager."""

    def __init__(self, name: str, contender: Contender, task: Task) -> None:
        self.name, self.task = name, task
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # No daemon: contenders start processes themselves.
        self._process = context.Process(target=_serve, args=(theirs, contender, task), name=name)
        self._process.start()
        theirs.close()

    def __enter__(self) -> "Host":
        """Return the host."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process: it leaves when its connection is closed."""
        self._connection.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def sweep(self, count: int) -> list[Rated]:
        """Try all settings on so many pictures; the fastest stay loaded. Fastest first."""
        return self._ask(("sweep", count))

    def turn(self) -> list[Rated]:
        """Run the fastest over all pictures."""
        return self._ask(("turn", 0))

    def cpu_seconds(self) -> float:
        """What the process itself has used so far."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def _ask(self, request: tuple[str, int]) -> list[Rated]:
        self._connection.send(request)
        try:
            answer: Any = self._connection.recv()
        except EOFError:
            raise SystemExit(f"{self.name}: its process died; see above") from None
        if isinstance(answer, str):
            raise SystemExit(f"{self.name} on {request}:\n{answer}")
        rated: list[Rated] = answer
        return rated


def _serve(connection: Connection, contender: Contender, task: Task) -> None:
    runs: list[tuple[Setting, Callable[[], Run]]] = []
    module = importlib.import_module(contender.module)
    while True:
        try:
            what, count = connection.recv()
        except EOFError:
            return
        try:
            if what == "sweep":
                rated = _sweep(module, task.first(count))
                best = rated[: contender.finalists]
                runs = [(r.setting, module.build(task, r.setting)) for r in best]
            else:
                rated = [Rated(setting, run()) for setting, run in runs]
        except Exception:
            connection.send(traceback.format_exc())
        else:
            connection.send(rated)


def _sweep(module: Any, task: Task) -> list[Rated]:
    """Rate every setting by its second run; with only one to choose from there is no need."""
    choices = module.settings(task)
    if len(choices) == 1:
        return [Rated(choices[0], Run(0, Spent(float("nan"))))]
    found = []
    for setting in choices:
        run = module.build(task, setting)
        run()
        found.append(Rated(setting, run()))
    return sorted(found, key=lambda rated: -rated.images_per_s)
