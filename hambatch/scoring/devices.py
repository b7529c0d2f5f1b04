"""The devices of a run, side by side; one that fails hands over what it has left."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hambatch.engines.loading import Engine
from hambatch.errors import HambatchError
from hambatch.scoring.device_names import CPU
from hambatch.scoring.journal.begun import DeviceHistory
from hambatch.scoring.plan import RunPlan
from hambatch.scoring.rows import IndexedRow
from hambatch.scoring.sentinels.watch import SentinelWatch, watch_of
from hambatch.scoring.worker.process import WorkerLost
from hambatch.scoring.worker.protocol import StageTimes
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.types import DoubleChecked

log = logging.getLogger(__name__)


class Device(NamedTuple):
    """``cpu`` or the number of a GPU, its worker, and the sentinels that check its answers."""

    name: str
    worker: SupervisedWorker
    watch: SentinelWatch


class DevicePool:
    """A worker for each device of a run; they load their engine from the moment it is made.

    Not so with ``at_once`` False: then they are started when there is work for them.

    A GPU that fails is not used again: the other GPUs do what it has left, or the CPU where
    there is none. That happens once: a run that loses another device later ends with its
    error, and finished rows are kept.

    A file at which a GPU's worker was lost does not fail its row by itself: the CPU tries it
    when all other files are done.

    Attributes
    ----------
    left
        For each of those files, by index, the GPU that left it.
    handed_over
        For each GPU that failed: ``from``, ``to`` and ``why``.
    """

    def __init__(self, plan: RunPlan, *, at_once: bool = True) -> None:
        self._plan = plan
        self.left: dict[int, str] = {}
        self.handed_over: list[dict[str, str]] = []
        self._notes: dict[str, str] = {}
        self._owned = ExitStack()
        self._watches: dict[str, SentinelWatch] = {}
        self._lost: dict[str, list[str]] = {}
        self._failed: dict[str, HambatchError] = {}
        self._used: list[SupervisedWorker] = []
        self._devices, self._jobs = plan.devices, dict(plan.jobs)
        self._started = {name: self._start(name) for name in self._devices if at_once}

    def __enter__(self) -> "DevicePool":
        """Return the pool, whose workers are loading."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Stop whatever is running."""
        self._owned.__exit__(type(error) if error else None, error, None)

    def add_sentinels(self, engine: Engine, scratch: Path) -> None:
        """Let the engine's sentinels check every device; must be called before :meth:`at_work`.

        ``scratch`` is a folder in which sentinels may be drawn.
        """
        self._engine, self._scratch = engine, scratch

    @contextmanager
    def at_work(self, *, on_left: bool = False) -> Iterator[Sequence[Device]]:
        """Give the devices for one pass: the workers made first, then new ones.

        ``on_left`` gives the CPU, for the files that GPUs have left.
        """
        names = (CPU,) if on_left else self._devices
        if on_left:
            log.warning("the CPU does %d files at which GPUs lost their workers", len(self.left))
        workers = self._started or {name: self._start(name) for name in names}
        self._started = {}
        devices = [Device(name, worker, self._watch(name)) for name, worker in workers.items()]
        for device in devices:
            device.watch.forget()
            device.worker.sentinel = device.watch.a_sentinel
        try:
            yield devices
            self._hand_over()
        finally:
            self._used += workers.values()
            # Memory that was short stays short.
            self._jobs |= {name: worker.job for name, worker in workers.items()}
            self._notes = self.history(devices).notes

    def may_fail(self, device: Device) -> bool:
        """Whether others do the work of a device that failed.

        Not if ``--device`` names it and it never loaded its engine: that refuses the run.
        """
        begun = device.worker.was_ready or self._plan.given.device_is_open
        return device.name != CPU and begun and not self.handed_over

    def fail(self, device: Device, error: HambatchError) -> None:
        """Take note that a device failed; called on any thread."""
        self._failed[device.name] = error

    def without_left(self, device: Device, rows: list[IndexedRow]) -> list[IndexedRow]:
        """Leave out the rows of files that a GPU leaves to the CPU; called on any thread."""
        if device.name == CPU:
            return rows
        left = [index for index, _ in rows if index in device.worker.lost_at]
        self.left.update(dict.fromkeys(left, device.name))
        return [row for row in rows if row[0] not in left]

    def history(self, at_work: Sequence[Device] = ()) -> DeviceHistory:
        """Say what became of the devices in this start, those at work included."""
        notes = {device.name: device.worker.note for device in at_work if device.worker.note}
        return DeviceHistory(self._notes | notes, self.handed_over)

    @property
    def lost(self) -> list[str]:
        """Why each lost worker was lost: device by device, in order."""
        return [why for of_one in self._lost.values() for why in of_one]

    @property
    def stage_times(self) -> StageTimes:
        """Of all workers that came to their end."""
        return sum((worker.stage_times for worker in self._used), StageTimes())

    @property
    def troubles(self) -> Counter[str]:
        """How many batches were not trusted, and why."""
        return sum((worker.troubles for worker in self._used), Counter())

    def sentinels(self) -> dict[str, Any]:
        """What a record says of the sentinels: of the first device, and of each by name."""
        if not self._watches:
            return self._watch(self._devices[0]).summary()
        found = {name: watch.summary() for name, watch in self._watches.items()}
        first = next(iter(found.values()))
        if len(found) == 1:
            return first
        checked = sum(summary["checked"] for summary in found.values())
        return {**first, "checked": checked, "by_device": found}

    def twice(self) -> DoubleChecked:
        """Count what all devices computed twice."""
        return sum((watch.twice for watch in self._watches.values()), DoubleChecked())

    def _hand_over(self) -> None:
        """Choose the devices that take the images of those that failed in this pass."""
        if not self._failed:
            return
        self._devices = tuple(d for d in self._devices if d not in self._failed) or (CPU,)
        to = " and ".join(map(_named, self._devices))
        do = "does" if len(self._devices) == 1 else "do"
        for name, error in self._failed.items():
            why = _reason(error)
            log.warning("%s failed: %s; %s %s the rest of its images", _named(name), why, to, do)
            self.handed_over.append({"from": _named(name), "to": to, "why": why})
        # The files that a failed device left are not at fault: they are scored as any other.
        self.left = {index: d for index, d in self.left.items() if d not in self._failed}
        self._failed = {}

    def _start(self, name: str) -> SupervisedWorker:
        # Each device has losses of its own: others do not use up what it may lose.
        lost = self._lost.setdefault(name, [])
        worker = SupervisedWorker(self._jobs[name], lost, replaceable=name != CPU)
        return self._owned.enter_context(worker)

    def _watch(self, name: str) -> SentinelWatch:
        if name not in self._watches:
            job, used = self._plan.jobs[name], self._plan.used
            how = used.sentinel_every, self._scratch
            watch = watch_of(self._engine, job, *how, keeps=used.model_cache)
            self._watches[name] = self._owned.enter_context(watch)
        return self._watches[name]


def _reason(error: HambatchError) -> str:
    if isinstance(error, WorkerLost):
        return f"the worker process {error.in_short}"
    return str(error).partition("\n")[0].removesuffix(".")


def _named(device: str) -> str:
    return "the CPU" if device == CPU else f"GPU {device}"
