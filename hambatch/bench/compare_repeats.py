"""Whether there are enough repeats to tell a change from noise."""

from collections.abc import Sequence
from math import log

from hambatch.bench.compare_join import Pair
from hambatch.bench.options import REPEATS_AT_MOST
from hambatch.bench.statistics import (
    ALPHA,
    FEWEST,
    Difference,
    difference,
    repeats_needed,
    scatter_at_most,
)
from hambatch.errors import InputError

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
