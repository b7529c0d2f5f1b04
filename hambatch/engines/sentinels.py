"""The `sentinels` of `engine.json`: known pictures and what the engine says about them."""

import math
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class MeasuredOn:
    """Where probabilities were measured: ``backend`` and ``decoder`` as the table names them.

    ``runtime`` as :func:`hambatch.backends.runtime_of` does; engines of before have none.
    """

    backend: str = ""
    decoder: str = ""
    instruction_set: str = ""
    runtime: str = ""


@dataclass(frozen=True)
class Sentinel:
    """A synthetic picture of the engine's folder and its probabilities, in the order of classes."""

    file: str
    probabilities: tuple[float, ...]


ELSEWHERE = {"int8": 0.05, "fp16": 0.02}
"""Widest difference that is no fault on another machine, by precision; else 5e-4.

FP16 is what a GPU makes of the FP32 graph. Values rounded to FP16 moved the known pictures
of an engine of the published recipe by 1.1e-3. Kernels may sum in FP16 too; that was not
measured.

INT8 kernels of another instruction set round intermediate values otherwise, so that a
value may fall on the next of 256 steps, in every layer. Kernels without VNNI saturate sums of
two products, which can spoil every score: that is farther off, and to be noticed. So is a slot
that answers for another picture: no two known pictures are nearer than 0.2."""


@dataclass(frozen=True)
class Recorded:
    """What another graph of the engine says of the same pictures, in their order."""

    precision: str
    measured_on: MeasuredOn
    tolerance_elsewhere: float
    probabilities: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Sentinels:
    """Known pictures; an engine without any is checked against a run's own first answers.

    ``tolerance`` is the largest difference of a probability where backend,
    decoder, instruction set and runtime are those of ``measured_on``;
    ``tolerance_elsewhere`` where any of them differs. ``also`` holds an entry for every
    graph but the one of ``measured_on``.
    """

    pictures: tuple[Sentinel, ...] = ()
    tolerance: float = 1e-4
    tolerance_elsewhere: float = 5e-4
    measured_on: MeasuredOn = MeasuredOn()
    also: tuple[Recorded, ...] = ()

    def of(self, precision: str) -> "Sentinels | None":
        """Give the record of one precision; None if the pictures were not scored in it.

        FP16 is to say what FP32 says, within its own tolerance.
        """
        if precision == precision_of(self.measured_on.backend):
            return self
        for other in self.also:
            if other.precision == precision:
                pairs = zip(self.pictures, other.probabilities, strict=True)
                return replace(
                    self,
                    pictures=tuple(Sentinel(picture.file, known) for picture, known in pairs),
                    tolerance_elsewhere=other.tolerance_elsewhere,
                    measured_on=other.measured_on,
                )
        wide = self.of("fp32") if precision == "fp16" else None
        return wide and replace(wide, tolerance_elsewhere=ELSEWHERE[precision])

    def elsewhere(self, precision: str) -> float:
        """Give what a probability may differ by on another machine, recorded or not."""
        recorded = self.of(precision)
        if recorded:
            return recorded.tolerance_elsewhere
        return ELSEWHERE.get(precision, self.tolerance_elsewhere)


def precision_of(backend: str) -> str:
    """``openvino-fp32`` -> ``fp32``; ``tensorrt-fp16-b32`` -> ``fp16``."""
    return backend.partition("-")[2].partition("-")[0]


def read_sentinels(raw: dict[str, Any]) -> Sentinels:
    """Type the section; raises TypeError, KeyError or ValueError at what does not belong."""
    values = dict(raw)
    values["pictures"] = tuple(_picture(**entry) for entry in raw["pictures"])
    values["measured_on"] = MeasuredOn(**raw["measured_on"])
    for name in ("tolerance", "tolerance_elsewhere"):
        values[name] = float(raw[name])
    values["also"] = tuple(_recorded(**entry) for entry in raw.get("also", ()))
    return Sentinels(**values)


def _picture(file: Any, probabilities: Any) -> Sentinel:
    return Sentinel(str(file), tuple(map(float, probabilities)))


def _recorded(
    precision: Any, measured_on: Any, tolerance_elsewhere: Any, probabilities: Any
) -> Recorded:
    known = tuple(tuple(map(float, of_picture)) for of_picture in probabilities)
    where = MeasuredOn(**measured_on)
    return Recorded(str(precision), where, float(tolerance_elsewhere), known)


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
        problem = _no_probabilities(picture.probabilities, classes)
        if problem:
            return f"the sentinel {picture.file} has {problem}"
    return _problem_with_others(sentinels, classes)


def _problem_with_others(sentinels: Sentinels, classes: int) -> str:
    known = [precision_of(sentinels.measured_on.backend)]
    for other in sentinels.also:
        what = f"the sentinels' record in {other.precision}"
        if other.precision in known:
            return f"{what} is not the only one"
        known.append(other.precision)
        if not sentinels.tolerance <= other.tolerance_elsewhere < 1:
            return (
                f"{what} has the tolerance {other.tolerance_elsewhere}, "
                f"wanted {sentinels.tolerance} or more, below 1"
            )
        if len(other.probabilities) != len(sentinels.pictures):
            return f"{what} is of {len(other.probabilities)} pictures"
        for probabilities in other.probabilities:
            problem = _no_probabilities(probabilities, classes)
            if problem:
                return f"{what} has {problem}"
    return ""


def _no_probabilities(found: tuple[float, ...], classes: int) -> str:
    total = sum(found)
    if len(found) == classes and math.isclose(total, 1, abs_tol=1e-6):
        return ""
    return f"{len(found)} probabilities that sum to {total}, wanted {classes} that sum to 1"


LOGIT_TOLERANCE = 1e-3
"""Of a logit, as a share of the largest (at least 1). About what 1e-4 is to a
probability near a half; but it also shows a wrong logit whose class is so
improbable for the known picture that its probability hardly moves. Within a
run on one device answers were equal to the last bit."""
