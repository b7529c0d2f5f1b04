"""A run that began on a GPU which is not there any more: the CPU does the rest, if none was asked.

It does what it does for a GPU that fails (:mod:`hambatch.crew`), and is told of like that.
"""

import logging
from dataclasses import replace
from pathlib import Path

from hambatch.config import ScoreOptions
from hambatch.engines.choice import choose_precision, cpu_precision
from hambatch.engines.loading import Engine
from hambatch.journal.device_history import DeviceHistory
from hambatch.journal.fingerprint import Fingerprint
from hambatch.journal.folder import Journal
from hambatch.placement import AUTO, CPU, ON_CPU, ON_GPU, place
from hambatch.plan import Plan, plan_of

log = logging.getLogger(__name__)


def plan_to_go_on(journal: Journal, engine_folder: Path, options: ScoreOptions) -> Plan:
    """Settle what a start computes with, as :func:`hambatch.plan.plan_of`; here of any journal.

    Raises
    ------
    HambatchError
        As :func:`hambatch.plan.plan_of` says.
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
