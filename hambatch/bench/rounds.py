"""Turns in rounds, so that a noisy minute is noisy for everything that is compared."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from hambatch.bench.child import Child, Task
from hambatch.bench.turns import Turn
from hambatch.errors import InputError

MOST = 32
"""Things measured at once: each keeps its process, and a loaded engine is some 300 MB."""

Show = Callable[[Iterable[tuple[int, str]], int], Iterable[tuple[int, str]]]
"""Wraps the schedule to show how far it is; given the number of turns."""


@dataclass(frozen=True)
class Measured:
    """The turns of one task, one a repeat; ``label`` as its process gave it."""

    label: str
    turns: tuple[Turn, ...]
    warmup_images: int

    @property
    def images_per_s(self) -> list[float]:
        """The rate of every repeat."""
        return [turn.images_per_s for turn in self.turns]


def unseen(schedule: Iterable[tuple[int, str]], total: int) -> Iterable[tuple[int, str]]:
    """Show nothing."""
    return schedule


def take_turns(tasks: Mapping[str, Task], repeats: int, show: Show = unseen) -> dict[str, Measured]:
    """Let every task take ``repeats`` turns, one after the other, round by round.

    The first round warms up and is dropped. Every round begins with another task,
    so that none is always the one after the same other.

    Raises
    ------
    InputError
        If there are more than :data:`MOST` tasks.
    HambatchError
        As a task raised it.
    """
    if len(tasks) > MOST:
        raise InputError(
            f"{len(tasks)} combinations to measure, wanted at most {MOST}.\n"
            "Next: give fewer values at once, and compare the results: hambatch bench compare"
        )
    with ExitStack() as stack:
        children = {key: stack.enter_context(Child(task)) for key, task in tasks.items()}
        turns: dict[str, list[Turn]] = {key: [] for key in tasks}
        order = schedule(list(tasks), repeats + 1)
        for _, key in show(order, len(order)):
            turns[key].append(children[key].turn())
        return {
            key: Measured(children[key].label, tuple(found[1:]), found[0].images)
            for key, found in turns.items()
        }


def schedule(keys: list[str], rounds: int) -> list[tuple[int, str]]:
    """Order the turns: every key once a round, each round rotated by one."""
    order = []
    for number in range(rounds):
        first = number % len(keys)
        order += [(number, key) for key in keys[first:] + keys[:first]]
    return order
