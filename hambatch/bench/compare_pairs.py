"""Which series of one result is compared with which series of another."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hambatch.bench.compare_file import Result, Scalar, Series
from hambatch.errors import InputError
from hambatch.system.text import encode_name

NAMES_LISTED = 5
"""How many names a message lists before it only counts."""

BRIEF = ("read", "write")
"""Stages of `bench score` that are over in milliseconds: they scatter by more than any change
that matters, and rarely limit a run."""


@dataclass(frozen=True)
class Pair:
    """A series of A, and the series of B that it is compared with."""

    a: Series
    b: Series

    @property
    def name(self) -> str:
        """The name, or both names where they differ."""
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

    Raises InputError if the results are of different things, or nothing can be paired.
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
    names = "; ".join(repr(one.name) for one in series[:NAMES_LISTED])
    more = len(series) - NAMES_LISTED
    return f"{names} and {more} more" if more > 0 else names


def _renamed(a: Result, b: Result, old: str, new: str) -> Iterator[Pair]:
    old, new = encode_name(old), encode_name(new)  # as the names of the files were
    of_b = {(one.kind, one.name): one for one in b.series}
    for one in a.series:
        other = of_b.get((one.kind, one.name.replace(old, new)))
        if old in one.name and other:
            yield Pair(one, other)


def _matching(a: Result, b: Result) -> Iterator[Pair]:
    of_b = _by_stage(b)
    for (kind, stage), series in _by_stage(a).items():
        if a.what == "score" and stage in BRIEF:
            continue
        others = of_b[kind, stage]
        yield from _same_name(series, others) or _same_but_constants(series, others)


def _by_stage(result: Result) -> dict[tuple[str, str], list[Series]]:
    found = defaultdict(list)
    for one in result.series:
        found[one.kind, one.stage].append(one)
    return found


def _same_name(a: list[Series], b: list[Series]) -> list[Pair]:
    of_b = {one.name: one for one in b}
    return [Pair(one, of_b[one.name]) for one in a if one.name in of_b]


def _same_but_constants(a: list[Series], b: list[Series]) -> list[Pair]:
    of_a, of_b = _constants(a), _constants(b)
    about = {name for name in of_a.keys() & of_b.keys() if of_a[name] != of_b[name]}
    keys_a, keys_b = (
        [{name: value for name, value in one.settings.items() if name not in about} for one in side]
        for side in (a, b)
    )
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
