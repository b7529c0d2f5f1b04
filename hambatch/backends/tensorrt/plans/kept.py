"""The kept plans: which of them this machine can use, and removing the others."""

from dataclasses import dataclass

from hambatch.backends.tensorrt.library import tensorrt_module
from hambatch.backends.tensorrt.plans.builder import FORM
from hambatch.backends.tensorrt.plans.cache import TIMING, Entry, PlanCache, plan_cache
from hambatch.backends.tensorrt.plans.record import PlanKey
from hambatch.errors import HambatchError
from hambatch.system.cache import left_behind
from hambatch.system.gpus import Gpu, probe_gpus


@dataclass(frozen=True)
class Machine:
    """What plans are compared with; ``problem`` says why they cannot be, else empty."""

    tensorrt: str = ""
    driver: str = ""
    cuda: int = 0
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""

    def outdated(self, key: PlanKey) -> bool:
        """Whether a plan was built for such a GPU, and cannot be used on it any more.

        A plan for another GPU may belong to another machine.
        """
        return self._has(key) and bool(self.misfit(key))

    def misfit(self, key: PlanKey) -> str:
        """Name what differs here; empty if a plan fits one of the GPUs."""
        driver = {"driver": self.driver, "cuda": self.cuda}
        wanted = {"tensorrt": self.tensorrt, **driver, "form": FORM}
        different = [
            f"its {name} is {getattr(key, name)}, here {here}"
            for name, here in wanted.items()
            if getattr(key, name) != here
        ]
        if not self._has(key):
            names = ", ".join(f"{name} ({capability})" for name, capability in self._cards())
            different.append(f"its gpu is {key.gpu} ({key.capability}), here {names}")
        return "; ".join(different)

    def _has(self, key: PlanKey) -> bool:
        return (key.gpu, key.capability) in self._cards()

    def _cards(self) -> list[tuple[str, str]]:
        return [(gpu.name, ".".join(map(str, gpu.capability))) for gpu in self.gpus]


def this_machine() -> Machine:
    """Query the driver and TensorRT."""
    probe = probe_gpus()
    if not probe.usable:
        return Machine(problem=probe.problem)
    try:
        version = tensorrt_module().__version__
    except HambatchError as error:
        return Machine(problem=str(error).splitlines()[0])
    return Machine(version, probe.driver, probe.cuda, probe.gpus)


def plan_lines() -> list[str]:
    """One line a kept plan, all of it read: what it is, and whether it can be used here."""
    machine = this_machine()
    with plan_cache() as cache:
        lines = [_line(cache, entry, machine) for entry in cache.entries()]
        return lines or [f"no plan in {cache.folder}; next: hambatch build"]


def _line(cache: PlanCache, entry: Entry, machine: Machine) -> str:
    damage, record = cache.examine(entry), entry.record
    if record is None:
        # A file's name may be bytes that are no text.
        return f"{entry.name}  damaged: {damage}".encode(errors="backslashreplace").decode()
    key = record.key
    if damage:
        state = f"damaged: {damage}"
    elif machine.problem:
        state = f"intact; unknown whether it fits: {machine.problem}"
    else:
        misfit = machine.misfit(key)
        state = f"does not fit: {misfit}" if misfit else "intact, fits"
    return (
        f"{key.name[:12]}  {record.engine}  {key.precision}  batch {key.profile[-1]}  {key.gpu}  "
        f"TensorRT {key.tensorrt}  {record.size_bytes / 1e6:.1f} MB  {record.built}  {state}"
    )


@dataclass(frozen=True)
class Pruned:
    """How many plans were removed and kept, the bytes freed, and why others were kept."""

    removed: int
    kept: int
    freed_bytes: int
    note: str = ""

    def __str__(self) -> str:
        """Say it in a line."""
        note = f"; {self.note}" if self.note else ""
        freed = f"{self.freed_bytes / 1e6:.1f} MB"
        return f"{self.removed} plans removed ({freed}), {self.kept} kept{note}"


def prune_plans(*, everything: bool) -> Pruned:
    """Remove plans that are damaged or that this machine cannot use, and files of no plan.

    The folder may be shared with other machines: intact plans for GPUs that are not here stay,
    and without a usable GPU all intact ones. What a build in progress holds always stays.
    """
    machine = None if everything else this_machine()
    with plan_cache() as cache:
        irregular, building = cache.irregular(), cache.being_built()
        entries = [entry for entry in cache.entries() if entry.name not in irregular]
        gone = [
            entry
            for entry in entries
            if _stem(entry.name) not in building and _is_useless(cache, entry, machine)
        ]
        kept = [entry for entry in entries if entry not in gone]
        stems = {_stem(entry.name) for entry in gone} - {_stem(entry.name) for entry in kept}
        files = {entry.name for entry in gone} | {n for n in cache.names() if _stem(n) in stems}
        files |= _loose(cache, {_stem(entry.name) for entry in entries} | building, everything)
        freed = sum(map(cache.remove, sorted(files)))
    notes = _notes(kept, machine, building, irregular)
    return Pruned(len(gone), len(kept), freed, "; ".join(notes))


def _is_useless(cache: PlanCache, entry: Entry, machine: Machine | None) -> bool:
    if machine is None or entry.record is None or cache.examine(entry):
        return True
    return not machine.problem and machine.outdated(entry.record.key)


def _loose(cache: PlanCache, taken: set[str], everything: bool) -> set[str]:
    """Choose files that belong to no record, nor to a build in progress.

    Fresh temporaries always stay: a process may be writing them. Unless everything goes, other
    fresh files stay too, and timings stay for the next build.
    """
    loose = {name for name in cache.names() if _stem(name) not in taken}
    if not everything:
        return set(left_behind(cache.place, (n for n in loose if not n.endswith(TIMING))))
    temporary = {name for name in loose if name.startswith(".")}
    return loose - temporary | set(left_behind(cache.place, temporary))


def _notes(
    kept: list[Entry], machine: Machine | None, building: set[str], irregular: set[str]
) -> list[str]:
    """Say why plans were kept that do not simply fit."""
    notes = []
    if machine and machine.problem and kept:
        notes.append(f"unknown whether they fit: {machine.problem}")
    elif machine:
        others = sum(bool(one.record and machine.misfit(one.record.key)) for one in kept)
        if others:
            notes.append(f"{others} of them for GPUs that are not here: --all removes these too")
    if building:
        notes.append(f"being built now: {len(building)}")
    if irregular:
        notes.append(f"left, as no regular file: {', '.join(map(repr, sorted(irregular)))}")
    return notes


def _stem(name: str) -> str:
    """Name the key that a file belongs to: ``KEY-SHA.plan`` -> ``KEY``."""
    return name.partition(".")[0].partition("-")[0]
