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
    """What plans are compared with; ``problem`` says why that cannot be told, else empty."""

    tensorrt: str = ""
    driver: str = ""
    cuda: int = 0
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""

    def outdated(self, key: PlanKey) -> bool:
        """Say whether a plan was built for such a GPU, and cannot be used on it any more.

        One for another GPU may be of another machine, of which nothing is known.
        """
        return self._has(key) and bool(self.misfit(key))

    def misfit(self, key: PlanKey) -> str:
        """Say what is another here; empty if a plan fits one of the GPUs."""
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
    """Ask the driver and TensorRT."""
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


def state_of(cache: PlanCache, entry: Entry, machine: Machine) -> str:
    """Say whether an entry is intact and fits; a damaged one fits nowhere."""
    damage = cache.examine(entry)
    if damage or entry.record is None:
        return f"damaged: {damage}"
    if machine.problem:
        return f"intact; whether it fits cannot be told: {machine.problem}"
    misfit = machine.misfit(entry.record.key)
    return f"does not fit: {misfit}" if misfit else "intact, fits"


def _line(cache: PlanCache, entry: Entry, machine: Machine) -> str:
    state = state_of(cache, entry, machine)
    if entry.record is None:
        # A file's name may be bytes that are no text.
        return f"{entry.name}  {state}".encode(errors="backslashreplace").decode()
    record, key = entry.record, entry.record.key
    return (
        f"{key.name[:12]}  {record.engine}  {key.precision}  batch {key.profile[-1]}  {key.gpu}  "
        f"TensorRT {key.tensorrt}  {record.size_bytes / 1e6:.1f} MB  {record.built}  {state}"
    )


@dataclass(frozen=True)
class Pruned:
    """How many plans went and stayed, the bytes that are free now, and why others stayed."""

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
    """Remove plans that are damaged or that this machine cannot use, and what nothing names.

    The folder may be shared with other machines: intact plans for GPUs that are not here stay,
    and without a usable GPU all intact ones. What a build in progress holds always stays.
    """
    with plan_cache() as cache:
        return _prune(cache, None if everything else this_machine())


def _prune(cache: PlanCache, machine: Machine | None) -> Pruned:
    """Remove what the machine cannot use; everything if there is none to ask."""
    strange, building = cache.strange(), cache.being_built()
    entries = [entry for entry in cache.entries() if entry.name not in strange]
    free = [entry for entry in entries if _stem(entry.name) not in building]
    gone = [entry for entry in free if machine is None or _useless(cache, entry, machine)]
    kept = [entry for entry in entries if entry not in gone]
    stems = {_stem(entry.name) for entry in gone} - {_stem(entry.name) for entry in kept}
    belongs = {entry.name for entry in gone} | {n for n in cache.names() if _stem(n) in stems}
    loose = _loose(cache, {_stem(entry.name) for entry in entries} | building, machine is None)
    freed = sum(map(cache.remove, sorted(belongs | loose)))
    notes = _notes(kept, machine, building, strange)
    return Pruned(len(gone), len(kept), freed, "; ".join(notes))


def _useless(cache: PlanCache, entry: Entry, machine: Machine) -> bool:
    if entry.record is None or cache.examine(entry):
        return True
    return not machine.problem and machine.outdated(entry.record.key)


def _loose(cache: PlanCache, taken: set[str], everything: bool) -> set[str]:
    """Choose what no record belongs to, nor a build in progress.

    Temporaries stay while they are fresh: some process may be writing them. Unless it is to be
    everything, so does the rest, and timings stay for the next build.
    """
    loose = {name for name in cache.names() if _stem(name) not in taken}
    if not everything:
        return set(left_behind(cache.place, (n for n in loose if not n.endswith(TIMING))))
    temporary = {name for name in loose if name.startswith(".")}
    return loose - temporary | set(left_behind(cache.place, temporary))


def _notes(
    kept: list[Entry], machine: Machine | None, building: set[str], strange: set[str]
) -> list[str]:
    """Say why what stayed did, where it is not simply that it fits."""
    notes = []
    if machine and machine.problem and kept:
        notes.append(f"whether they fit cannot be told: {machine.problem}")
    elif machine:
        others = sum(bool(one.record and machine.misfit(one.record.key)) for one in kept)
        if others:
            notes.append(f"{others} of them for GPUs that are not here: --all removes these too")
    if building:
        notes.append(f"being built now: {len(building)}")
    if strange:
        notes.append(f"left, as no regular file: {', '.join(map(repr, sorted(strange)))}")
    return notes


def _stem(name: str) -> str:
    """Give the key that a file belongs to: ``KEY-SHA.plan`` -> ``KEY``."""
    return name.partition(".")[0].partition("-")[0]
