"""The `sentinels` of `engine.json`: images whose probabilities are known."""

import math
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Meta

from hambatch.engines.backend_names import graph_precision, parse_backend
from hambatch.engines.classes import CLASSES
from hambatch.system.text import excerpt

Tolerance = Annotated[float, Meta(gt=0, lt=1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Probabilities = Annotated[
    tuple[Probability, ...], Meta(min_length=len(CLASSES), max_length=len(CLASSES))
]
"""In the order of the classes."""

LOGIT_TOLERANCE = 1e-3
"""Of a logit, as a share of the largest (at least 1). About what 1e-4 is to a
probability near a half; but it also shows a wrong logit whose class is so
improbable for the sentinel that its probability hardly moves. Within a run
on one device answers were equal to the last bit."""


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
    """A synthetic image of the engine's folder and its probabilities."""

    file: str
    probabilities: Probabilities


ELSEWHERE = {"int8": 0.05, "fp16": 0.02, "bf16": 0.1, "int8-bf16": 0.1}
"""Widest difference that is no fault on another machine, by precision; else 5e-4.

FP16 is what a GPU makes of the FP32 graph. Values rounded to FP16 moved the sentinels
of an engine of the published recipe by 1.1e-3. Kernels that sum in FP16 were not measured.

INT8 kernels of another instruction set round intermediate values otherwise, so that a
value may fall on the next of 256 steps, in every layer. Kernels without VNNI saturate sums of
two products, which can spoil every score: that is farther off, and to be noticed. So is a slot
that answers for another image: no two sentinels of the default engine are nearer than 0.42.

BF16 rounds every intermediate value to 8 bits of precision. BF16 moved probabilities of 600 images
by up to 0.025, INT8-BF16 by up to 0.060, from what FP32 says (benchmarks/results/precisions.json).
So an engine without records of them is checked by those of its graphs."""


@dataclass(frozen=True)
class Recorded:
    """What the engine gives in another precision for the same images, in their order."""

    precision: str
    measured_on: MeasuredOn
    tolerance_elsewhere: Tolerance
    probabilities: tuple[Probabilities, ...]


@dataclass(frozen=True)
class Sentinels:
    """Known images; an engine without any is checked against a run's own first scores.

    ``tolerance`` is the largest difference of a probability where backend,
    decoder, instruction set and runtime are those of ``measured_on``;
    ``tolerance_elsewhere`` where any of them differs. ``also`` holds an entry for every
    precision that was recorded beside the one of ``measured_on``.
    """

    pictures: tuple[Sentinel, ...] = ()
    tolerance: Tolerance = 1e-4
    tolerance_elsewhere: Tolerance = 5e-4
    measured_on: MeasuredOn = MeasuredOn()
    also: tuple[Recorded, ...] = ()

    def of(self, precision: str) -> "Sentinels | None":
        """Give the record of one precision; None if there is none to compare it with.

        FP16 and BF16 without a record of their own are to say what FP32 says, and INT8-BF16 what
        INT8 says, within tolerances of their own.
        """
        if precision == parse_backend(self.measured_on.backend).precision:
            return self
        for other in self.also:
            if other.precision == precision:
                pairs = zip(self.pictures, other.probabilities, strict=True)
                return replace(
                    self,
                    pictures=tuple(Sentinel(image.file, known) for image, known in pairs),
                    tolerance_elsewhere=other.tolerance_elsewhere,
                    measured_on=other.measured_on,
                )
        graph = graph_precision(precision)
        wide = self.of(graph) if graph != precision else None
        return wide and replace(wide, tolerance_elsewhere=ELSEWHERE[precision])

    def elsewhere(self, precision: str) -> float:
        """Give what a probability may differ by on another machine, recorded or not."""
        recorded = self.of(precision)
        if recorded:
            return recorded.tolerance_elsewhere
        return ELSEWHERE.get(precision, self.tolerance_elsewhere)


def problem_with(sentinels: Sentinels, files: Container[str]) -> str:
    """Say what is wrong with the section; empty if nothing is."""
    for sentinel in sentinels.pictures:
        if sentinel.file not in files:
            return f"the sentinel {excerpt(repr(sentinel.file))} has no sha256"
    own = Recorded(
        parse_backend(sentinels.measured_on.backend).precision,
        sentinels.measured_on,
        sentinels.tolerance_elsewhere,
        tuple(sentinel.probabilities for sentinel in sentinels.pictures),
    )
    seen: set[str] = set()
    for record in (own, *sentinels.also):
        what = f"the sentinels' record in {excerpt(record.precision)}"
        if record.precision in seen:
            return f"{what} is not the only one"
        seen.add(record.precision)
        if record.tolerance_elsewhere < sentinels.tolerance:
            wanted = f"wanted its tolerance {sentinels.tolerance} or more"
            return f"{what} has tolerance_elsewhere {record.tolerance_elsewhere}, {wanted}"
        if len(record.probabilities) != len(sentinels.pictures):
            return f"{what} is of {len(record.probabilities)} images"
        for total in map(sum, record.probabilities):
            if not math.isclose(total, 1, abs_tol=1e-6):
                return f"{what} has probabilities that sum to {total}, wanted 1"
    return ""
