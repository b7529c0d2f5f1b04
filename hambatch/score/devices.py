"""The devices of a run at work side by side; one that fails hands over what it has left."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from hambatch.engines.loading import Engine
from hambatch.engines.precision import choose_precision, cpu_precision
from hambatch.errors import HambatchError
from hambatch.score.journal.fingerprint import Fingerprint
from hambatch.score.journal.folder import DeviceHistory, Journal
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import AUTO, CPU, ON_CPU, ON_GPU, Plan, job_for, numbers_in, place, plan_of
from hambatch.score.rows import IndexedRow
from hambatch.score.sentinels.watch import SentinelWatch
from hambatch.score.worker.process import WorkerLost
from hambatch.score.worker.protocol import StageTimes
from hambatch.score.worker.supervisor import SupervisedWorker

log = logging.getLogger(__name__)


def plan_to_go_on(journal: Journal, engine_folder: Path, options: ScoreOptions) -> Plan:
    """Settle what a start computes with, whatever the journal holds.

    Raises
    ------
    HambatchError
        As :func:`hambatch.score.plan.plan_of` says.
    """
    if not (_was_on_gpu(journal) and _is_open(options)):
        return plan_of(engine_folder, options)
    placement = place(options.device, options.backend)
    if placement.gpus:
        plan = plan_of(engine_folder, options)
        if plan.placement.gpus:
            return plan
        placement = plan.placement
    precision = cpu_precision(options.precision)
    on_cpu = replace(options, device=CPU, backend=ON_CPU, precision=precision)
    plan = plan_of(engine_folder, on_cpu)
    choice = replace(plan.choice, wanted=options.precision)
    return replace(plan, given=options, placement=placement, choice=choice)


def takes_over(journal: Journal, plan: Plan) -> bool:
    """Whether the CPU goes on with what a GPU began, without having been asked for."""
    return _was_on_gpu(journal) and _is_open(plan.given) and not plan.placement.gpus


def as_on_gpu(journal: Journal, plan: Plan, engine: Engine, now: Fingerprint) -> Fingerprint:
    """Give the CPU's fingerprint what is the GPU's alone: the rest has to be the same.

    Raises
    ------
    EngineError
        If the precision that is asked for now is none that would be used on a GPU.
    """
    given, began = plan.given, journal.about["fingerprint"]
    used = choose_precision(engine.manifest, ON_GPU, given.precision, force=given.force).used
    return {
        **now,
        "backend": {**now["backend"], "name": ON_GPU, "precision": used},
        "device": {**began["device"], "instruction_set": now["device"]["instruction_set"]},
        "versions": {**began["versions"], **now["versions"]},
    }


def hand_over(journal: Journal, plan: Plan) -> None:
    """Tell the user and the journal; a start after this one does not tell it again."""
    gpu, why = journal.about["fingerprint"]["device"]["gpu"], plan.placement.why
    log.warning("the run began on a GPU (%s): %s; the CPU does the rest of its images", gpu, why)
    entry = {"from": gpu, "to": "the CPU", "why": why}
    if entry not in journal.devices.handed_over[-1:]:
        journal.of_earlier_starts(DeviceHistory(handed_over=[entry]))


def _was_on_gpu(journal: Journal) -> bool:
    backend = journal.about.get("fingerprint", {}).get("backend", {})
    return bool(backend.get("name") == ON_GPU)


def _is_open(options: ScoreOptions) -> bool:
    return (options.device, options.backend) == (AUTO, AUTO)


class Member(NamedTuple):
    """A device, ``cpu`` or the number of a GPU; its worker, and who watches the answers."""

    device: str
    worker: SupervisedWorker
    watch: SentinelWatch


class Crew:
    """A worker for each device of a run, from the moment that it is made.

    A GPU that fails while it works is not used again: what it has not answered is done by the
    others, or by the CPU where there is none. That happens once: a run that loses a device
    after that ends with its error, and what is done is kept.

    A file at which a GPU's worker was lost is no failed row by that alone: the CPU tries it when
    all others are done.

    Attributes
    ----------
    left
        For each of those files, by index, the device that left it.
    notes
        What backends said of how they run, by device.
    handed_over
        For each GPU that failed: ``from``, ``to`` and ``why``.
    """

    def __init__(self, engine_folder: Path, plan: Plan, source: Path) -> None:
        self._folder, self._plan, self._source = engine_folder, plan, source
        self.left: dict[int, str] = {}
        self.notes: dict[str, str] = {}
        self.handed_over: list[dict[str, str]] = []
        self._owned = ExitStack()
        self._watches: dict[str, SentinelWatch] = {}
        self._lost: dict[str, list[str]] = {}
        self._failed: dict[str, HambatchError] = {}
        self._has_handed_over = False
        self._accounts: list[SupervisedWorker] = []
        numbers = numbers_in(plan.options.device)
        self._devices: tuple[str, ...] = tuple(map(str, numbers)) or (CPU,)
        self._started = {device: self._start(device) for device in self._devices}

    def __enter__(self) -> "Crew":
        """Return the crew, whose workers are loading."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop whatever is running."""
        self._owned.__exit__(kind, error, traceback)

    def watched(self, engine: Engine, scratch: Path) -> None:
        """Let known pictures of the engine go through every device; ``scratch`` may be written to.

        Must be called before :meth:`at_work`.
        """
        self._engine, self._scratch = engine, scratch

    @contextmanager
    def at_work(self, *, on_left: bool = False) -> Iterator[Sequence[Member]]:
        """Give the devices for one pass: the workers made first, then new ones.

        ``on_left`` gives the CPU, for files that GPUs have left.
        """
        devices = (CPU,) if on_left else self._devices
        if on_left:
            log.warning("the CPU does %d files at which GPUs lost their workers", len(self.left))
        started = self._started or {device: self._start(device) for device in devices}
        self._started = {}
        members = [Member(d, worker, self._watch(d)) for d, worker in started.items()]
        for member in members:
            member.watch.forget()
        try:
            yield members
            self._hand_over()
        finally:
            self._accounts += started.values()
            for device, worker in started.items():
                if worker.note:
                    self.notes[device] = worker.note

    def may_fail(self, member: Member) -> bool:
        """Whether others do the work of a member whose worker or device failed.

        A GPU that was asked for and does not even begin is a refusal of the run.
        """
        given = self._plan.given
        asked = (given.device, given.backend) != (AUTO, AUTO)
        begun = member.worker.was_ready or not asked
        return member.device != CPU and begun and not self._has_handed_over

    def kept(self, member: Member, rows: list[IndexedRow]) -> list[IndexedRow]:
        """Take out the rows of files that a GPU leaves; called on any thread."""
        if member.device == CPU:
            return rows
        left = [index for index, _ in rows if index in member.worker.lost_at]
        self.left.update(dict.fromkeys(left, member.device))
        return [row for row in rows if row[0] not in left]

    def fail(self, member: Member, error: HambatchError) -> None:
        """Take note that a device failed; called on any thread."""
        self._failed[member.device] = error

    @property
    def lost(self) -> list[str]:
        """Why each lost worker was lost: device by device, in order."""
        return [why for of_one in self._lost.values() for why in of_one]

    @property
    def stage_times(self) -> StageTimes:
        """Of all workers that came to their end."""
        return sum((worker.stage_times for worker in self._accounts), StageTimes())

    @property
    def troubles(self) -> dict[str, int]:
        """How many batches were not trusted, and why."""
        found: dict[str, int] = {}
        for worker in self._accounts:
            for why, count in worker.troubles.items():
                found[why] = found.get(why, 0) + count
        return found

    def sentinels(self) -> dict[str, Any]:
        """What a record says of the known pictures: of the first device, and of each by name."""
        if not self._watches:
            return self._watch(self._devices[0]).summary()
        found = {device: watch.summary() for device, watch in self._watches.items()}
        first = next(iter(found.values()))
        if len(found) == 1:
            return first
        checked = sum(summary["checked"] for summary in found.values())
        return {**first, "checked": checked, "by_device": found}

    def _hand_over(self) -> None:
        """Choose who goes on for the devices that failed in this pass."""
        if not self._failed:
            return
        self._devices = tuple(d for d in self._devices if d not in self._failed) or (CPU,)
        heir = " and ".join(map(_named, self._devices))
        do = "does" if len(self._devices) == 1 else "do"
        for device, error in self._failed.items():
            why = _reason(error)
            told = _named(device), why, heir, do
            log.warning("%s failed: %s; %s %s the rest of its images", *told)
            self.handed_over.append({"from": _named(device), "to": heir, "why": why})
        # What a device left that failed is not the file's doing: whoever goes on does it.
        self.left = {index: d for index, d in self.left.items() if d not in self._failed}
        self._failed, self._has_handed_over = {}, True

    def _start(self, device: str) -> SupervisedWorker:
        options = self._options(device)
        number = None if device == CPU else int(device)
        job = job_for(self._folder, options, self._source, number)
        # A device has its own: others' losses do not use up what it may lose.
        lost = self._lost.setdefault(device, [])
        seconds = options.decode_seconds
        worker = SupervisedWorker(job, seconds, lost, replaceable=device != CPU)
        return self._owned.enter_context(worker)

    def _watch(self, device: str) -> SentinelWatch:
        if device not in self._watches:
            options = self._options(device)
            backend = f"{options.backend}-{options.precision}"
            sizes = options.batch_size, options.sentinel_every
            watch = SentinelWatch(self._engine, *sizes, backend, self._scratch)
            self._watches[device] = self._owned.enter_context(watch)
        return self._watches[device]

    def _options(self, device: str) -> ScoreOptions:
        options = self._plan.options
        if device != CPU or options.device == CPU:
            return options
        # INT8 was forced, as no gate was measured on a GPU.
        wanted, manifest = cpu_precision(options.precision), self._engine.manifest
        choice = choose_precision(manifest, ON_CPU, wanted, force=options.force)
        return replace(options, device=CPU, backend=ON_CPU, precision=choice.used)


def _reason(error: HambatchError) -> str:
    if isinstance(error, WorkerLost):
        return f"the worker process {error.in_short}"
    return str(error).partition("\n")[0].removesuffix(".")


def _named(device: str) -> str:
    return "the CPU" if device == CPU else f"GPU {device}"
