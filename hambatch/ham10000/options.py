"""Defaults of `hambatch prepare`: option name = field name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PrepareOptions:
    """`hambatch prepare`: fractions are of lesions, 0 < f < 1.

    ``gate_fraction`` and ``certify_fraction`` are taken from what would be trained on; 0: no such
    part.
    """

    val_fraction: float = 0.15
    test_fraction: float = 0.15
    gate_fraction: float = 0.0
    certify_fraction: float = 0.0
    seed: int = 0
