"""What a reader of a comparison has to know beside its figures."""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np

from hambatch.bench.compare_file import Result, Series
from hambatch.bench.compare_join import Pair

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
