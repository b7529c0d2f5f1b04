"""What a run computes with: settled before it starts, told to the user, written down."""

from dataclasses import dataclass, replace
from pathlib import Path

from hambatch.backends.model_cache import cache_folder
from hambatch.config import ScoreOptions
from hambatch.cores import available_cores
from hambatch.device import instruction_set
from hambatch.engines.choice import Choice, choose_precision
from hambatch.engines.manifest import read_manifest
from hambatch.private_cache import problem_with
from hambatch.sharing import Sharing, share_cores


@dataclass(frozen=True)
class Plan:
    """The options with the precision that is used, why it is, and how the cores are shared.

    ``no_cache`` says why compiled graphs cannot be kept; empty if they can, or need not be.
    """

    options: ScoreOptions
    choice: Choice
    sharing: Sharing
    cores: int
    instruction_set: str
    no_cache: str = ""


def plan_of(engine_folder: Path, options: ScoreOptions) -> Plan:
    """Settle what the options leave open.

    Raises
    ------
    EngineError
        If the precision is one that the engine lacks, or should not be used here.
    """
    manifest = read_manifest(engine_folder)
    choice = choose_precision(manifest, options.backend, options.precision, force=options.force)
    cache = cache_folder(choice.used)
    return Plan(
        options=replace(options, precision=choice.used),
        choice=choice,
        sharing=share_cores(options.threads, options.streams, options.decode_threads),
        cores=options.threads or available_cores(),
        instruction_set=instruction_set(),
        no_cache=problem_with(cache) if cache and options.model_cache else "",
    )
