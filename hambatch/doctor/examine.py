"""The story of `hambatch doctor`: what is there, and what this machine can do with it."""

import platform
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from hambatch import __version__
from hambatch.cores import available_cores
from hambatch.device import instruction_set, int8_kernels
from hambatch.doctor.ability import Ability, abilities
from hambatch.doctor.blame import blame
from hambatch.doctor.catalogue import FOR_GPU, FOR_SCORING, FOR_TABLES, FOR_TRAINING
from hambatch.doctor.engine import examine_engine
from hambatch.doctor.finding import Finding
from hambatch.doctor.gpus import examine_gpus
from hambatch.doctor.packages import examine_dali, examine_packages

AT_ONCE = 2
"""Processes; TensorFlow takes about as long as all others together."""

TOLD = ("scoring", "dali", "engine", "tables", "training", "gpus", "gpu packages")
"""Groups, as they are told; they are looked at beginning with the longest."""

Look = Future[list[Finding]]
Show = Callable[[Iterable[Look], int], Iterator[Look]]


@dataclass(frozen=True)
class Examination:
    """All findings, and what follows from them."""

    findings: tuple[Finding, ...]
    abilities: tuple[Ability, ...]

    @property
    def can_score(self) -> bool:
        """Whether the main job works here."""
        return self.abilities[0].works

    def to_json(self) -> dict[str, Any]:
        """Give everything, and what it was found on."""
        return {
            **machine(),
            "can_score": self.can_score,
            "findings": [finding.to_json() for finding in self.findings],
            "abilities": [ability.to_json() for ability in self.abilities],
        }


def machine() -> dict[str, Any]:
    """Name what the findings depend on."""
    return {
        "hambatch": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": available_cores(),
        "instruction_set": instruction_set(),
        "int8_kernels": int8_kernels(),
    }


def examine(show: Show) -> Examination:
    """Look at everything; nothing that is broken stops it.

    Parameters
    ----------
    show
        Passes the looks through as they are done, and shows how many of how many.
    """
    looks = _looks()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {name: pool.submit(look) for name, look in looks.items()}
        try:
            for _ in show(as_completed(begun.values()), len(begun)):
                pass
        finally:
            for future in begun.values():
                future.cancel()
    found = {name: future.result() for name, future in begun.items()}
    findings = tuple(blame([finding for name in TOLD for finding in found[name]]))
    return Examination(findings, tuple(abilities(findings)))


def _looks() -> dict[str, Callable[[], list[Finding]]]:
    return {
        "training": lambda: examine_packages(FOR_TRAINING),
        "gpus": examine_gpus,
        "scoring": lambda: examine_packages(FOR_SCORING),
        "dali": lambda: [examine_dali()],
        "engine": lambda: [examine_engine()],
        "tables": lambda: examine_packages(FOR_TABLES),
        "gpu packages": lambda: examine_packages(FOR_GPU),
    }
