"""`hambatch bench compare`: whether B is faster than A, slower, or it is noise."""

from dataclasses import dataclass
from pathlib import Path

from hambatch.bench.compare_conditions import remarks
from hambatch.bench.compare_file import Result, read_result
from hambatch.bench.compare_join import Pair, join
from hambatch.bench.compare_repeats import check_repeats, speed_of
from hambatch.bench.options import BenchCompareOptions
from hambatch.bench.statistics import ALPHA, Difference, holm, repeats_needed


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
        joins as :func:`hambatch.bench.compare_join.join` says.
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
