"""What is found out about the paths, and whether it is as it should be."""

from collections.abc import Mapping
from dataclasses import dataclass

from hambatch.config import ParityOptions
from hambatch.engines.loading import Engine
from hambatch.parity.comparing import Compared
from hambatch.parity.decoder_load import LoadEffect
from hambatch.parity.images import Scorable, Taken
from hambatch.parity.paths import ScoringPath
from hambatch.parity.tolerances import Tolerance


@dataclass(frozen=True)
class Varied:
    """One run in another way: nothing may change. ``problem``: why it could not be done."""

    name: str
    rows_changed: int = 0
    max_difference: float = 0.0
    problem: str = ""

    @property
    def same(self) -> bool:
        """Whether every row is what it was, to the last byte."""
        return not (self.problem or self.rows_changed)


@dataclass(frozen=True)
class PathResult:
    """What became of one path.

    ``compared`` and ``tolerance`` are None of the reference, and of a path without rows;
    ``decoders`` and ``backends`` count its rows by what they name. ``problem`` says why a path
    that was taken has no rows.
    """

    path: ScoringPath
    decoders: Mapping[str, int]
    backends: Mapping[str, int]
    compared: Compared | None = None
    tolerance: Tolerance | None = None
    varied: tuple[Varied, ...] = ()
    problem: str = ""

    @property
    def within(self) -> bool:
        """Whether it is as near to the reference as it should be, or was not taken."""
        if self.compared and self.tolerance:
            return self.tolerance.holds(self.compared)
        return not self.problem

    @property
    def steady(self) -> bool:
        """Whether its rows stayed the same in every other way that was tried."""
        return all(varied.same for varied in self.varied)

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if not self.path.taken:
            return "not taken"
        if self.problem:
            return "failed"
        if self.compared is None:
            return "reference"
        return "within" if self.within else "beyond"


@dataclass(frozen=True)
class Parity:
    """All that was measured; the first of ``results`` is the reference's."""

    engine: Engine
    options: ParityOptions
    taken: Taken
    images: Scorable
    results: tuple[PathResult, ...]
    load: LoadEffect | None

    @property
    def holds(self) -> bool:
        """Whether every path that was taken is within its tolerance, and steady."""
        return all(result.within and result.steady for result in self.results)

    @property
    def verdict(self) -> str:
        """Name what is not as it should be, or say that all is."""
        unlike = [f"{r.path.name} {r.verdict}" for r in self.results if not r.within]
        unsteady = [r.path.name for r in self.results if not r.steady]
        faults = [
            *unlike,
            *(f"rows of {name} change with how they are scored" for name in unsteady),
        ]
        if faults:
            return "; ".join(faults)
        compared = sum(result.compared is not None for result in self.results)
        first = self.results[0].path.name
        if not compared:
            return f"nothing to compare {first} with; its rows do not depend on how they are scored"
        return (
            f"{compared} compared with {first}, all within tolerance; no row depends on its place"
        )
