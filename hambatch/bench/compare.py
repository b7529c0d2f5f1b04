"""`hambatch bench compare`: whether B is faster than A, slower, or it is noise."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path

import numpy as np

from hambatch.bench.compare_file import Result, Series, read_result
from hambatch.bench.compare_pairs import Pair, join
from hambatch.bench.options import REPEATS_AT_MOST, BenchCompareOptions
from hambatch.bench.statistics import (
    ALPHA,
    FEWEST,
    Difference,
    difference,
    holm,
    repeats_needed,
    scatter_at_most,
)
from hambatch.errors import InputError

PATIENCE = 100
"""From this many repeats on, a refusal recommends a quieter machine first."""

UNSTEADY = frozenset({"machine.memory_gib"})
"""Conditions that differ from one start of a machine to the next, and change nothing."""

FOLLOWS = 2.33
"""Standard errors of a correlation that one repeat with the next has by chance once in 100."""


@dataclass(frozen=True)
class Outcome:
    """One pair, decided.

    ``speed`` is B's over A's: above 1 is faster, for a throughput and for a latency; its interval
    is that of this pair alone. ``p`` is corrected for the number of pairs (Holm). ``needed`` are
    the repeats a side that the scatter of these requires.
    """

    pair: Pair
    speed: Difference
    p: float
    needed: int

    @property
    def word(self) -> str:
        """``faster``, ``slower`` or ``noise``."""
        if self.p >= ALPHA:
            return "noise"
        return "faster" if self.speed.ratio > 1 else "slower"


@dataclass(frozen=True)
class Comparison:
    """All that is known about B against A."""

    a: Result
    b: Result
    change: float
    outcomes: tuple[Outcome, ...]
    remarks: tuple[str, ...]

    @property
    def word(self) -> str:
        """``slower`` if anything is, else ``faster`` if anything is, else ``noise``."""
        words = {outcome.word for outcome in self.outcomes}
        return next((word for word in ("slower", "faster") if word in words), "noise")


def compare(
    a: Path, b: Path, series: tuple[str, str] | None, options: BenchCompareOptions
) -> Comparison:
    """Compare two result files of `hambatch bench`; the change is from A to B.

    ``series`` pairs them as :func:`hambatch.bench.compare_pairs.join` says. Raises InputError if
    a file is no such result, nothing in them can be compared, or there are too few repeats to see
    a change of that size.
    """
    first, second = read_result(a), read_result(b)
    pairs = join(first, second, series)
    limit = 1 + options.change / 100
    check_repeats(first.what, pairs, limit)
    speeds = [speed_of(pair) for pair in pairs]
    outcomes = [
        Outcome(pair, speed, p, repeats_needed(speed.scatter, limit, len(pairs)))
        for pair, speed, p in zip(pairs, speeds, holm([one.p for one in speeds]), strict=True)
    ]
    notes = remarks(first, second, pairs)
    return Comparison(first, second, options.change, tuple(outcomes), tuple(notes))


def speed_of(pair: Pair, alpha: float = ALPHA) -> Difference:
    """Compare so that above 1 is faster: of times, the inverse."""
    sides = (pair.a.repeats, pair.b.repeats)
    return difference(*(sides if pair.a.kind == "throughput" else sides[::-1]), alpha=alpha)


def check_repeats(what: str, pairs: Sequence[Pair], change: float) -> None:
    """Refuse repeats that would call a change noise too often.

    The InputError names the pair that needs most repeats, and how many to measure with the
    subcommand ``what``. ``change`` is the smallest ratio that matters, such as 1.03.
    """
    missing = [(_repeats_wanted(pair, change, len(pairs)), pair) for pair in pairs]
    wanted, worst = max(missing, key=lambda both: both[0])
    if wanted:
        found = f"{len(worst.a.repeats)} repeats in A and {len(worst.b.repeats)} in B"
        raise InputError(
            f"{worst.name}: found {found}, {_scatter(worst)}; wanted {_count(wanted)}, to "
            f"see a change of {(change - 1) * 100:.3g} %.\n"
            f"Next: hambatch bench {what} ... --repeats {wanted}"
        )


def _repeats_wanted(pair: Pair, change: float, comparisons: int) -> int:
    """Count the repeats that a refusal recommends; 0 when there are enough."""
    found = min(len(pair.a.repeats), len(pair.b.repeats))
    if found < FEWEST:  # their scatter is hardly known
        return FEWEST
    speed = speed_of(pair, ALPHA / comparisons)
    needed = repeats_needed(speed.scatter, change, comparisons)
    if found >= needed or _is_beyond(speed, change):
        return 0
    return repeats_needed(scatter_at_most(speed.scatter, speed.freedom), change, comparisons)


def _is_beyond(speed: Difference, change: float) -> bool:
    """Tell whether the whole interval is: then more repeats would not change the word."""
    return log(speed.low) > log(change) or log(speed.high) < -log(change)


def _count(wanted: int) -> str:
    if wanted < PATIENCE:
        return f"{wanted} in each"
    more = " or more" if wanted == REPEATS_AT_MOST else ""
    return f"a quieter machine, or {wanted}{more} in each"


def _scatter(pair: Pair) -> str:
    if min(len(pair.a.repeats), len(pair.b.repeats)) < 2:
        return "of which the scatter cannot be known"
    return f"scattering by {speed_of(pair).scatter * 100:.2g} %"


def remarks(a: Result, b: Result, pairs: Sequence[Pair]) -> list[str]:
    """Say which conditions and settings differ, what was left out, what drifts."""
    settings = dict.fromkeys(
        f"setting {name} differs: {in_a} in A, {in_b} in B"
        for pair in pairs
        for name, (in_a, in_b) in pair.settings.items()
    )
    return [
        *_conditions(a, b),
        *settings,
        *_left_out("A", a, [pair.a for pair in pairs]),
        *_left_out("B", b, [pair.b for pair in pairs]),
        *(remark for pair in pairs for remark in _drift(pair)),
    ]


def _conditions(a: Result, b: Result) -> Iterator[str]:
    for name in dict.fromkeys([*a.conditions, *b.conditions]):
        in_a, in_b = a.conditions.get(name, "absent"), b.conditions.get(name, "absent")
        if name not in UNSTEADY and in_a != in_b:
            yield f"{name} differs: {in_a} in A, {in_b} in B"


def _left_out(side: str, result: Result, used: Sequence[Series]) -> Iterator[str]:
    for one in result.series:
        if one not in used:
            yield f"only in {side}, not compared: {one.kind} of {one.name}"


def _drift(pair: Pair) -> Iterator[str]:
    correlation = _lag_one(pair.a, pair.b)
    if correlation > FOLLOWS / sqrt(len(pair.a.repeats) + len(pair.b.repeats)):
        yield (
            f"{pair.name}: each repeat resembles the one before (correlation {correlation:.2f}), "
            "so the machine was not at rest and the interval is too narrow"
        )


def _lag_one(*series: Series) -> float:
    """Correlate each repeat with the next, about the mean of its own series."""
    logs = [np.log(one.repeats) for one in series]
    rests = [values - values.mean() for values in logs]
    total = sum(float(rest @ rest) for rest in rests)
    return sum(float(rest[:-1] @ rest[1:]) for rest in rests) / total if total > 0 else 0.0
