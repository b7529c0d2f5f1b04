"""How much of it: short by default, longer by environment variables."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Dose:
    """Damaged files, files that lack a part, kills, and the seed of all."""

    mutants: int = 300
    absences: int = 160
    kills: int = 6
    seed: int = 0


def dose_from_environment() -> Dose:
    """``HAMBATCH_FAULT_MUTANTS``, ``_ABSENCES``, ``_KILLS`` and ``_SEED``."""
    wanted = {name: os.environ.get(f"HAMBATCH_FAULT_{name.upper()}") for name in vars(Dose())}
    return Dose(**{name: int(value) for name, value in wanted.items() if value is not None})
