"""The one line that says what was proven of a table, and what was not."""

from dataclasses import dataclass

from hambatch.checks.verify.record import UNCHECKED
from hambatch.system.text import first_names, plural

SURE = 0.95
"""The probability with which a sample finds so many wrong rows."""


@dataclass(frozen=True)
class Drawn:
    """How many of the rows of a kind were scored again."""

    count: int
    of: int

    @property
    def left(self) -> int:
        """Count the others."""
        return self.of - self.count


@dataclass(frozen=True)
class Proof:
    """What was compared, in numbers.

    ``widest`` is the largest tolerance of a probability, ``weaker`` why it is not 0, and
    ``notes`` are what a reader has to know besides; ``unknown`` is what nothing proves of the
    writer.
    """

    compared: str
    engine: str
    scored: Drawn
    failed: Drawn
    seed: int
    widest: float
    unknown: str
    weaker: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def compared_with(self) -> str:
        """Name the files, and the rows that were scored again."""
        again = self.scored.count + self.failed.count
        if not again:
            return f"{self.compared}, and no row scored again"
        return (
            f"{self.compared}, and {again} scored again with {self.engine} "
            f"({self.scored.count} of {self.scored.of} scored, "
            f"{self.failed.count} of {self.failed.of} failed rows; --seed {self.seed})"
        )

    def agreed(self) -> str:
        """Say what agrees, and in the same line what no part of it proves."""
        proven = f"{self.compared_with()}: all agree"
        if self.scored.count:
            how = f"within {self.widest:.0e}" if self.widest else "to the last digit"
            proven = f"{proven}, the probabilities {how}"
        if self.scored.count and self.widest:
            why = first_names(self.weaker, separator="; ") or "requests of another size"
            proven += (
                f", which is a weaker proof ({why}): a probability that is wrong by up to "
                f"{self.widest:g} is not seen"
            )
        noted = "".join(f"; {note}" for note in self.notes)
        return f"{proven}{noted}. Not proven: {'; '.join(self._not_proven())}"

    def _not_proven(self) -> list[str]:
        found = []
        if self.scored.of and not self.scored.count:
            found.append("any score, as no scored row was scored again")
        elif self.scored.left:
            found.append(
                f"the scores of the other {plural(self.scored.left, 'row')} "
                f"({_certainly_found(self.scored)} or more wrong ones among {self.scored.of} "
                f"are found with a probability of {SURE:.0%})"
            )
        if self.failed.left:
            found.append(f"that {plural(self.failed.left, 'failed row')} had to fail")
        found.append(f"the record's {UNCHECKED}")
        return [*found, self.unknown]


def _certainly_found(drawn: Drawn) -> int:
    """Count the wrong rows of which a draw without replacement holds one, at least at SURE."""
    missed, wrong = 1.0, 0
    while missed > 1 - SURE:
        missed *= (drawn.left - wrong) / (drawn.of - wrong)
        wrong += 1
    return wrong
