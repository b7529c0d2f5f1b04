"""The `sentinels` of `engine.json`: known pictures and what the engine says about them."""

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MeasuredOn:
    """Where probabilities were measured: ``backend`` and ``decoder`` as the table names them."""

    backend: str = ""
    decoder: str = ""
    instruction_set: str = ""


@dataclass(frozen=True)
class Sentinel:
    """A synthetic picture of the engine's folder and its probabilities, in the order of classes."""

    file: str
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Sentinels:
    """Known pictures; an engine without any is checked against a run's own first answers.

    ``tolerance`` is the largest difference of a probability where backend,
    decoder and instruction set are those of ``measured_on``;
    ``tolerance_elsewhere`` where any of them differs.
    """

    pictures: tuple[Sentinel, ...] = ()
    tolerance: float = 1e-4
    tolerance_elsewhere: float = 5e-4
    measured_on: MeasuredOn = MeasuredOn()


def read_sentinels(raw: dict[str, Any]) -> Sentinels:
    """Type the section; raises TypeError, KeyError or ValueError at what does not belong."""
    values = dict(raw)
    values["pictures"] = tuple(_picture(**entry) for entry in raw["pictures"])
    values["measured_on"] = MeasuredOn(**raw["measured_on"])
    for name in ("tolerance", "tolerance_elsewhere"):
        values[name] = float(raw[name])
    return Sentinels(**values)


def _picture(file: Any, probabilities: Any) -> Sentinel:
    return Sentinel(str(file), tuple(map(float, probabilities)))


def problem_with(sentinels: Sentinels, files: Container[str], classes: int) -> str:
    """Say what is wrong with the section; empty if nothing is."""
    if not 0 < sentinels.tolerance <= sentinels.tolerance_elsewhere < 1:
        return (
            f"its sentinels' tolerances are {sentinels.tolerance} and, elsewhere, "
            f"{sentinels.tolerance_elsewhere}, wanted 0 < the first <= the second < 1"
        )
    for picture in sentinels.pictures:
        if picture.file not in files:
            return f"the sentinel {picture.file!r} has no sha256"
        total = sum(picture.probabilities)
        if len(picture.probabilities) != classes or not math.isclose(total, 1, abs_tol=1e-6):
            return (
                f"the sentinel {picture.file} has {len(picture.probabilities)} probabilities "
                f"that sum to {total}, wanted {classes} that sum to 1"
            )
    return ""
