"""Defaults of `hambatch prepare`: option name = field name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PrepareOptions:
    """`hambatch prepare`: fractions are of lesions, 0 < f < 1."""

    val_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0
