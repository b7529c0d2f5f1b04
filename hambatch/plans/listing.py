"""What `hambatch engines plans` says."""

from hambatch.plans.cache import Entry, PlanCache, plan_cache
from hambatch.plans.machine import Machine, this_machine


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
