"""`hambatch bench compare`: whether B is faster than A, slower, or it is noise."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path

import numpy as np

from hambatch.bench.compare_file import Result, Scalar, Series, read_result
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
from hambatch.system.text import encode_name

NAMED = 5
"""How many names a message lists before it only counts."""


BRIEF = ("read", "write")
"""Stages of `bench score` that are over in milliseconds: they scatter by more than any change
that matters, and bind hardly any run."""


Groups = dict[tuple[str, str], list[Series]]


@dataclass(frozen=True)
class Pair:
    """A series of A, and the series of B that it is compared with."""

    a: Series
    b: Series

    @property
    def name(self) -> str:
        """What to call it."""
        return self.a.name if self.a.name == self.b.name else f"{self.a.name} -> {self.b.name}"

    @property
    def settings(self) -> dict[str, tuple[Scalar, Scalar]]:
        """A's and B's value of every setting that differs."""
        names = dict.fromkeys([*self.a.settings, *self.b.settings])
        both = {name: (self.a.settings.get(name), self.b.settings.get(name)) for name in names}
        return {name: values for name, values in both.items() if values[0] != values[1]}


def join(a: Result, b: Result, series: tuple[str, str] | None = None) -> list[Pair]:
    """Pair the series of two results, in the order of A.

    1. Series of the same name are the same thing.
    2. Where a stage has no name in common, the comparison is about the settings
       that have one value in all of A's series of it and another in all of B's, as
       ``precision`` of an FP32 and an INT8 result. Series are paired that agree in
       all the other settings. Of results of ``score`` reading and writing are left out.
    3. With ``series`` (old, new) these rules do not count: a series of A whose name
       holds ``old`` is paired with the one of B that has ``new`` in its place.

    Raises
    ------
    InputError
        If the results are of different things, or nothing can be paired.
    """
    if a.what != b.what:
        found = f"A measured {a.what}, B measured {b.what}; wanted the same of both."
        raise InputError(f"{found}\nNext: hambatch bench {a.what} --help")
    pairs = list(_renamed(a, b, *series) if series else _matching(a, b))
    if not pairs:
        wanted = f"one with {series[0]!r} and one with {series[1]!r}" if series else "one in common"
        raise InputError(
            f"no series can be compared: A has {_listed(a.series)}; B has {_listed(b.series)}; "
            f"wanted {wanted}.\nNext: hambatch bench compare A B --series OLD=NEW"
        )
    return pairs


def _listed(series: Sequence[Series]) -> str:
    names = "; ".join(repr(one.name) for one in series[:NAMED])
    return names + (f" and {len(series) - NAMED} more" if len(series) > NAMED else "")


def _renamed(a: Result, b: Result, old: str, new: str) -> Iterator[Pair]:
    old, new = encode_name(old), encode_name(new)  # as the names of the files were
    there = {(one.kind, one.name): one for one in b.series}
    for one in a.series:
        other = there.get((one.kind, one.name.replace(old, new)))
        if old in one.name and other:
            yield Pair(one, other)


def _matching(a: Result, b: Result) -> Iterator[Pair]:
    in_b = _groups(b)
    for key, group in _groups(a).items():
        if a.what == "score" and key[1] in BRIEF:
            continue
        yield from _same_name(group, in_b[key]) or _same_but_constants(group, in_b[key])


def _groups(result: Result) -> Groups:
    groups: Groups = defaultdict(list)
    for one in result.series:
        groups[one.kind, one.stage].append(one)
    return groups


def _same_name(a: list[Series], b: list[Series]) -> list[Pair]:
    there = {one.name: one for one in b}
    return [Pair(one, there[one.name]) for one in a if one.name in there]


def _same_but_constants(a: list[Series], b: list[Series]) -> list[Pair]:
    constant_a, constant_b = _constants(a), _constants(b)
    about = {
        name
        for name in constant_a.keys() | constant_b.keys()
        if name in constant_a and name in constant_b and constant_a[name] != constant_b[name]
    }
    keys_a, keys_b = ([_without(about, one) for one in side] for side in (a, b))
    return [
        Pair(one, b[keys_b.index(key)])
        for one, key in zip(a, keys_a, strict=True)
        # Two that agree in everything could be either: neither is guessed.
        if keys_a.count(key) == keys_b.count(key) == 1
    ]


def _constants(series: list[Series]) -> dict[str, Scalar]:
    """Settings, absent ones as None, that are the same in all of the series."""
    names = {name for one in series for name in one.settings}
    values = {name: [one.settings.get(name) for one in series] for name in names}
    return {name: found[0] for name, found in values.items() if found.count(found[0]) == len(found)}


def _without(about: set[str], one: Series) -> dict[str, Scalar]:
    return {name: value for name, value in one.settings.items() if name not in about}


UNSTEADY = frozenset({"machine.memory_gib"})
"""Conditions that differ from one start of a machine to the next, and change nothing."""


FOLLOWS = 2.33
"""Standard errors of a correlation that one repeat with the next has by chance once in 100."""


def remarks(a: Result, b: Result, pairs: Sequence[Pair]) -> list[str]:
    """Say which conditions and settings differ, what was left out, what drifts."""
    return [
        *_conditions(a, b),
        *_settings(pairs),
        *_left_out("A", a, {(pair.a.kind, pair.a.name) for pair in pairs}),
        *_left_out("B", b, {(pair.b.kind, pair.b.name) for pair in pairs}),
        *(remark for pair in pairs for remark in _drift(pair)),
    ]


def _conditions(a: Result, b: Result) -> Iterator[str]:
    for name in dict.fromkeys([*a.conditions, *b.conditions]):
        in_a, in_b = a.conditions.get(name, "absent"), b.conditions.get(name, "absent")
        if name not in UNSTEADY and in_a != in_b:
            yield f"{name} differs: {in_a} in A, {in_b} in B"


def _settings(pairs: Sequence[Pair]) -> list[str]:
    differing = {
        f"setting {name} differs: {in_a} in A, {in_b} in B": None
        for pair in pairs
        for name, (in_a, in_b) in pair.settings.items()
    }
    return list(differing)


def _left_out(side: str, result: Result, used: set[tuple[str, str]]) -> Iterator[str]:
    unused = [one for one in result.series if (one.kind, one.name) not in used]
    for one in unused:
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


PATIENCE = 100
"""From so many repeats on it is the machine that has to change."""


def speed_of(pair: Pair, alpha: float = ALPHA) -> Difference:
    """Compare so that above 1 is faster: of times, the inverse."""
    sides = (pair.a.repeats, pair.b.repeats)
    return difference(*(sides if pair.a.kind == "throughput" else sides[::-1]), alpha=alpha)


def check_repeats(what: str, pairs: Sequence[Pair], change: float) -> None:
    """Refuse repeats that would call a change noise too often.

    Parameters
    ----------
    what
        The subcommand of `hambatch bench` that can repeat more often.
    pairs
        All that are compared at once.
    change
        The smallest ratio that matters, such as 1.03.

    Raises
    ------
    InputError
        Naming the pair that needs most repeats, and how many to measure.
    """
    asked, worst = max(
        ((_asked(pair, change, len(pairs)), pair) for pair in pairs), key=lambda both: both[0]
    )
    if asked:
        there = f"{len(worst.a.repeats)} repeats in A and {len(worst.b.repeats)} in B"
        raise InputError(
            f"{worst.name}: found {there}, {_scatter(worst)}; wanted {_count(asked)}, to "
            f"see a change of {(change - 1) * 100:.3g} %.\n"
            f"Next: hambatch bench {what} ... --repeats {asked}"
        )


def _count(asked: int) -> str:
    if asked < PATIENCE:
        return f"{asked} in each"
    more = " or more" if asked == REPEATS_AT_MOST else ""
    return f"a quieter machine, or {asked}{more} in each"


def _scatter(pair: Pair) -> str:
    if not _has_scatter(pair):
        return "of which the scatter cannot be known"
    return f"scattering by {speed_of(pair).scatter * 100:.2g} %"


def _has_scatter(pair: Pair) -> bool:
    return min(len(pair.a.repeats), len(pair.b.repeats)) > 1


def _asked(pair: Pair, change: float, comparisons: int) -> int:
    """Count the repeats to ask for; 0 when those that are there will do."""
    there = min(len(pair.a.repeats), len(pair.b.repeats))
    if there < FEWEST:  # a scatter that is hardly known asks for any number
        return FEWEST
    speed = speed_of(pair, ALPHA / comparisons)
    needed = repeats_needed(speed.scatter, change, comparisons)
    if there >= needed or _is_beyond(speed, change):
        return 0
    return repeats_needed(scatter_at_most(speed.scatter, speed.freedom), change, comparisons)


def _is_beyond(speed: Difference, change: float) -> bool:
    """Tell whether the whole interval is: then more repeats would not turn the answer."""
    return min(abs(log(speed.low)), abs(log(speed.high))) > log(change) and (
        (speed.low > 1) == (speed.high > 1)
    )


@dataclass(frozen=True)
class Outcome:
    """One pair, decided.

    Attributes
    ----------
    speed
        B's speed over A's: above 1 is faster, for a throughput and for a latency.
        Its interval is that of this pair alone.
    p
        Of this pair, corrected for the number of pairs (Holm).
    needed
        Repeats a side that the scatter of these asks for.
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
    """Compare two result files.

    Parameters
    ----------
    a, b
        Written by `hambatch bench`; the change is from A to B.
    series
        Text in the names of A's series, and what stands in its place in B's; None
        joins as :func:`hambatch.bench.compare.join` says.
    options
        ``change`` is in percent.

    Raises
    ------
    InputError
        If a file is no such result, nothing in them can be compared, or there are
        too few repeats to see a change of that size.
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
