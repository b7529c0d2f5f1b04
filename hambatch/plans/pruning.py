"""Removing plans: what no start will use again, or everything."""

from dataclasses import dataclass

from hambatch.plans.cache import RECORD, TIMING, Entry, PlanCache, plan_cache
from hambatch.plans.machine import Machine, this_machine
from hambatch.private_cache import left_behind


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
    """Remove plans that are damaged or do not fit this machine, and what nothing names.

    Without a usable GPU nothing is known to fit, so intact plans stay: the folder may be shared
    with machines that have one.
    """
    with plan_cache() as cache:
        if everything:
            plans = len(cache.entries())
            return Pruned(plans, 0, sum(map(cache.remove, cache.names())))
        return _prune(cache, this_machine())


def _prune(cache: PlanCache, machine: Machine) -> Pruned:
    entries = cache.entries()
    gone = [entry for entry in entries if _useless(cache, entry, machine)]
    stems = {entry.name.removesuffix(RECORD) for entry in gone}
    belongs = [name for name in cache.names() if _stem(name) in stems]
    kept = len(entries) - len(gone)
    note = f"whether they fit cannot be told: {machine.problem}" if kept and machine.problem else ""
    freed = sum(map(cache.remove, belongs + _orphans(cache, entries)))
    return Pruned(len(gone), kept, freed, note)


def _useless(cache: PlanCache, entry: Entry, machine: Machine) -> bool:
    if entry.record is None or cache.examine(entry):
        return True
    return not machine.problem and bool(machine.misfit(entry.record.key))


def _orphans(cache: PlanCache, entries: list[Entry]) -> list[str]:
    """Name what no record belongs to; a build in progress has written its plan, not its record."""
    recorded = {entry.name.removesuffix(RECORD) for entry in entries}
    loose = [n for n in cache.names() if _stem(n) not in recorded and not n.endswith(TIMING)]
    return left_behind(cache.place, loose)


def _stem(name: str) -> str:
    """Give the key that a file belongs to: ``KEY-SHA.plan`` -> ``KEY``."""
    return name.partition(".")[0].partition("-")[0]
