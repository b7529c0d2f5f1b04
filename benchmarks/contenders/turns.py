"""Contenders take turns on the same files and cores, so that a noisy machine is noisy for all."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from contenders import CONTENDERS, Contender
from contenders.host import Host, Rated
from contenders.task import Task
from hambatch.engines.backend_names import graph_precision


@dataclass
class Found:
    """Of one contender: its sweep, and a list of its finalists' rates for every repeat."""

    sweep: list[Rated] = field(default_factory=list)
    turns: list[list[Rated]] = field(default_factory=list)

    @property
    def best(self) -> list[float]:
        """The fastest finalist's images/s in every repeat."""
        return [rated.images_per_s for rated in self.fastest]

    @property
    def fastest(self) -> list[Rated]:
        """The fastest finalist of every repeat."""
        return [max(turn, key=lambda rated: rated.images_per_s) for turn in self.turns]

    @property
    def took(self) -> str:
        """The precision that it says it took; empty where it says nothing."""
        return ", ".join(sorted({rated.run.took for rated in self.fastest}))

    @property
    def images_per_joule(self) -> list[float]:
        """The fastest finalist's of every repeat; empty if no energy was counted."""
        found = (rated.run.images_per_joule for rated in self.fastest)
        return [value for value in found if value is not None]

    def described(self) -> dict[str, Any]:
        """Every number, for the result."""
        finalists = [rated.setting for rated in self.turns[0]]
        rates = zip(*([r.images_per_s for r in turn] for turn in self.turns), strict=True)
        return {
            **({"took": self.took} if self.took else {}),
            "finalists": [
                {"setting": setting, "images_per_s": list(found)}
                for setting, found in zip(finalists, rates, strict=True)
            ],
            "sweep": [
                {**rated.setting, "images_per_s": round(rated.images_per_s, 2)}
                for rated in self.sweep
                if len(self.sweep) > 1
            ],
        }


@dataclass
class Turns:
    """All of a comparison.

    ``idle_cpu_share`` is the most of one core that the waiting contenders used together
    while another had its turn.
    """

    found: dict[str, Found] = field(default_factory=dict)
    idle_cpu_share: float = 0.0


class Entry(NamedTuple):
    """A contender by what a result calls it, and what it is given."""

    name: str
    contender: Contender
    task: Task


def entries(names: Sequence[str], precisions: Sequence[str], task: Task) -> list[Entry]:
    """Give those of that name: one, or one for each precision, or for each graph that they run."""
    graphs = list(dict.fromkeys(map(graph_precision, precisions)))
    found = []
    for name in names:
        contender = CONTENDERS[name]
        each = {"precision": precisions, "graph": graphs}.get(contender.each)
        if each is None:
            found.append(Entry(name, contender, task))
        else:
            found += [Entry(f"{name}_{p}", contender, replace(task, precision=p)) for p in each]
    return found


def take_turns(entries: Sequence[Entry], sweep_count: int, repeats: int) -> Turns:
    """Sweep each contender's settings, then let them take turns; the first warms up.

    Each repeat begins with another contender, so that none is always the first.
    """
    turns = Turns()
    with ExitStack() as stack:
        hosts = []
        for name, contender, task in entries:
            say(f"sweep: {name}")
            hosts.append(stack.enter_context(Host(name, contender, task)))
            turns.found[name] = Found(sweep=hosts[-1].sweep(sweep_count))
        for repeat in range(repeats + 1):
            first = repeat % len(hosts)
            for host in hosts[first:] + hosts[:first]:
                rated, idle = _watched(host, hosts)
                say(f"repeat {repeat}: {host.name} {max(r.images_per_s for r in rated):.2f}/s")
                if repeat:
                    turns.found[host.name].turns.append(rated)
                    turns.idle_cpu_share = max(turns.idle_cpu_share, idle)
    return turns


def say(what: str) -> None:
    """Tell whoever waits."""
    print(what, file=sys.stderr, flush=True)


def _watched(host: Host, hosts: list[Host]) -> tuple[list[Rated], float]:
    # Thread pools spin for a while after their work.
    time.sleep(0.5)
    others = [other for other in hosts if other is not host]
    started, before = time.perf_counter(), [other.cpu_seconds() for other in others]
    rated = host.turn()
    seconds = time.perf_counter() - started
    used = sum(o.cpu_seconds() - was for o, was in zip(others, before, strict=True))
    return rated, used / seconds
