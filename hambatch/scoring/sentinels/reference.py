"""What each sentinel must come back with: the engine's record, and what came before here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends import runtime_of
from hambatch.engines.backend_names import parse_backend
from hambatch.engines.sentinels import LOGIT_TOLERANCE, MeasuredOn, Sentinels
from hambatch.system.cpu import instruction_set

Numbers = NDArray[np.float64]
"""Of one sentinel: ``[7]``."""

Pair = tuple[Numbers, Numbers]
"""Probabilities and logits."""


@dataclass(frozen=True)
class Miss:
    """The class that is farthest off, its probability or logit, and what it should have been."""

    what: str
    place: int
    found: float
    wanted: float
    tolerance: float
    reference: str


EARLIER = "its answer of an earlier run on this machine"

ANY = "any finite number"

OWN_START = "first pass of this run"
"""The reference of a run that has no other, in its record."""

FIRST = "its first answer of this run"


class Reference:
    """Compares answers: a sentinel's first with the engine's record, and each with one of before.

    That is the answer of an earlier run on this machine, or else the first one of this run.

    Parameters
    ----------
    spec
        Of the engine; without sentinels, or without a record in this precision, a
        sentinel's first answer only has to be finite numbers.
    backend
        Of this run, as the table names it.
    earlier
        The answers of an earlier run: probabilities and logits of every sentinel.

    Attributes
    ----------
    answers
        The first ones of this run.
    confirmed
        Sentinels whose answer was that of before, or that came back equal a second time.
    """

    def __init__(
        self, spec: Sentinels, backend: str, earlier: Mapping[int, Pair] | None = None
    ) -> None:
        known = spec.of(parse_backend(backend).precision) if backend else spec
        self._spec, self._backend = known or spec, backend
        self._recorded = [np.array(p.probabilities) for p in known.pictures] if known else []
        self.answers: dict[int, Pair] = {}
        self.confirmed: set[int] = set()
        self._earlier = earlier or {}
        self._here, self._runtime = instruction_set(), runtime_of(backend)
        self._at_start: tuple[float, float] | None = None
        self._largest = 0.0

    def miss(self, sentinel: int, found: Numbers, logits: Numbers, decoder: str) -> Miss | None:
        """Compare one answer; None if it is within the tolerance. NaN never is."""
        first = sentinel not in self.answers
        if first:
            self.answers[sentinel] = found, logits
        miss = self._first(sentinel, found, decoder) if first else None
        if first:
            # A logit of minus infinity makes a probability of 0.
            miss = miss or _judge("logit", logits, logits, LOGIT_TOLERANCE, ANY)
        if first and sentinel not in self._earlier:
            return miss
        miss = miss or self._again(sentinel, found, logits)
        if miss is None:
            self.confirmed.add(sentinel)
        return miss

    def summary(self) -> dict[str, Any]:
        """What the record says; deviations are the largest of any probability."""
        tolerance, deviation = self._at_start or (None, None)
        without_record = "an earlier run on this machine" if self._earlier else OWN_START
        return {
            "reference": "engine" if self._recorded else without_record,
            "tolerance_at_start": tolerance,
            "deviation_at_start": deviation,
            "tolerance": self._spec.tolerance,
            "deviation": self._largest,
        }

    def _again(self, sentinel: int, found: Numbers, logits: Numbers) -> Miss | None:
        name = EARLIER if sentinel in self._earlier else FIRST
        wanted, wanted_logits = self._earlier.get(sentinel) or self.answers[sentinel]
        self._largest = max(self._largest, float(np.abs(found - wanted).max()))
        scale = max(1.0, float(np.abs(wanted_logits).max()))
        return _judge("p", found, wanted, self._spec.tolerance, name) or _judge(
            "logit", logits, wanted_logits, LOGIT_TOLERANCE * scale, name
        )

    def _first(self, sentinel: int, found: Numbers, decoder: str) -> Miss | None:
        if not self._recorded:
            return _judge("p", found, found, self._spec.tolerance, ANY)
        here = MeasuredOn(self._backend, decoder, self._here, self._runtime)
        same = here == self._spec.measured_on
        tolerance = self._spec.tolerance if same else self._spec.tolerance_elsewhere
        wanted = self._recorded[sentinel]
        largest = float(np.abs(found - wanted).max())
        before = self._at_start or (0.0, 0.0)
        self._at_start = (max(tolerance, before[0]), max(largest, before[1]))
        return _judge("p", found, wanted, tolerance, "the engine's record")


def _judge(
    what: str, found: Numbers, wanted: Numbers, tolerance: float, reference: str
) -> Miss | None:
    # Infinities give NaN, which is off like any other.
    with np.errstate(invalid="ignore"):
        difference = np.abs(found - wanted)
    if (difference <= tolerance).all():
        return None
    # The first NaN, if there is one.
    place = int(difference.argmax())
    return Miss(what, place, float(found[place]), float(wanted[place]), tolerance, reference)


def labelled(miss: Miss, classes: Sequence[str]) -> str:
    """Say in words what was found and what was wanted."""
    return (
        f"{miss.what}_{classes[miss.place]} {miss.found:.6f}, wanted {miss.wanted:.6f} "
        f"within {miss.tolerance:.0e} ({miss.reference})"
    )
