"""What a run computes with: settled before it starts, told to the user, written down."""

from dataclasses import dataclass, replace
from pathlib import Path

from hambatch.backends.model_cache import cache_folder
from hambatch.config import ScoreOptions
from hambatch.cores import available_cores
from hambatch.device import instruction_set
from hambatch.engines.choice import Choice, choose_precision
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import read_manifest
from hambatch.errors import HambatchError
from hambatch.placement import AUTO, ON_CPU, Placement, place
from hambatch.private_cache import problem_with
from hambatch.sharing import Sharing, share_cores


@dataclass(frozen=True)
class Plan:
    """The options with what is used where ``auto`` was given, why, and how the cores are shared.

    ``given`` are the options as they were given. ``no_cache`` says why compiled graphs cannot
    be kept; empty if they can, or need not be.
    """

    given: ScoreOptions
    options: ScoreOptions
    placement: Placement
    choice: Choice
    sharing: Sharing
    cores: int
    instruction_set: str
    no_cache: str = ""


def plan_of(engine_folder: Path, options: ScoreOptions) -> Plan:
    """Settle what the options leave open; on a GPU, a TensorRT plan is built if none is kept.

    Raises
    ------
    EngineError
        If the precision is one that the engine lacks, or should not be used here.
    HambatchError
        If the device that is asked for is not there, or cannot be used.
    """
    manifest = read_manifest(engine_folder)
    placement = place(options.device, options.backend)
    choice = choose_precision(manifest, placement.backend, options.precision, force=options.force)
    if placement.gpus:
        placement = _with_plan(engine_folder, options, placement, choice.used)
    if not placement.gpus:
        backend = placement.backend
        choice = choose_precision(manifest, backend, options.precision, force=options.force)
    cache = cache_folder(choice.used) if not placement.gpus else None
    return Plan(
        given=options,
        options=replace(
            options,
            device=placement.device,
            backend=placement.backend,
            precision=choice.used,
        ),
        placement=placement,
        choice=choice,
        sharing=share_cores(options.threads, options.streams, options.decode_threads),
        cores=min(options.threads or available_cores(), available_cores()),
        instruction_set=instruction_set(),
        no_cache=problem_with(cache) if cache and options.model_cache else "",
    )


def _with_plan(
    engine_folder: Path, options: ScoreOptions, placement: Placement, precision: str
) -> Placement:
    """See to it that there is a TensorRT plan; where nobody asked for a GPU, do without."""
    from hambatch.plans.ensuring import ensure_plan

    try:
        ensure_plan(load_engine(engine_folder), precision, placement.gpus[0])
    except HambatchError as error:
        if (options.device, options.backend) != (AUTO, AUTO):
            raise
        why = str(error).partition("\n")[0]
        return Placement(ON_CPU, (), f"{placement.gpus[0].name} is there, but {why}")
    return placement
