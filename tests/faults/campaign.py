"""Many runs of one folder, each killed somewhere, all to end in the same table."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from tests.faults.command import Command, rows_of_file
from tests.faults.kills import (
    Aim,
    Ending,
    Kill,
    finishing_aims,
    records,
    run_through,
    scoring_aims,
    startup_aims,
)

KILLS_A_RUN = 5
"""Of the runs that are killed more than once; half of the kills fall in such runs."""

FINISHING_S = 0.3


@dataclass
class Campaign:
    """What all runs came to; empty lists and zeros are what is wanted, but for kills and runs.

    Attributes
    ----------
    rows
        Of the table of the uninterrupted run.
    missed
        Aims at a moment by which the run had ended, and which were given up.
    differing, differing_images
        Runs whose table is not, byte for byte, the uninterrupted one; the images
        whose lines are to blame.
    lost, duplicated
        Rows of all tables together.
    orphans
        Processes that outlived their killed parent.
    exposed
        Runs whose journal others could read.
    left_behind
        Files and folders beside the tables and records of runs that are done.
    temporary_left
        The same in the folder for temporary files: no start after a kill can know of them.
    """

    rows: int = 0
    runs: int = 0
    kills: list[Kill] = field(default_factory=list)
    missed: int = 0
    differing: int = 0
    lost: int = 0
    duplicated: int = 0
    orphans: int = 0
    exposed: int = 0
    left_behind: int = 0
    temporary_left: int = 0
    differing_images: set[str] = field(default_factory=set)

    @property
    def inside(self) -> list[Kill]:
        """Kills that fell between the first and the last record."""
        return [kill for kill in self.kills if 0 < kill.fell < self.rows]


def kill_and_resume(command: Command, seed: int, kills: int) -> Campaign:
    """Kill while scoring ``kills`` times, a tenth as often at the start and at the end as well.

    Parameters
    ----------
    command
        Of the uninterrupted run; every other one writes beside it.
    """
    startup_s = _reference(command)
    wanted = command.out.read_bytes()
    names = Counter(row["image"] for row in rows_of_file(command.out))
    campaign = Campaign(rows=names.total())
    rng = np.random.default_rng(seed)
    plans = chain(_plans(rng, kills, campaign.rows, startup_s), _more(rng, kills, campaign))
    for number, aims in enumerate(plans):
        again = replace(command, out=command.out.parent / f"killed{number}" / command.out.name)
        again.out.parent.mkdir()
        _take_note(campaign, again, run_through(again, aims), wanted, names)
    campaign.temporary_left = _entries(command.scratch) - 1
    return campaign


def _plans(
    rng: np.random.Generator, kills: int, rows: int, startup_s: float
) -> Iterator[list[Aim]]:
    several = round(kills / 2 / KILLS_A_RUN)
    for _ in range(several):
        yield scoring_aims(rng, rows, KILLS_A_RUN)
    for aim in scoring_aims(rng, rows, kills - several * KILLS_A_RUN):
        yield [aim]
    extra = max(kills // 10, 1)
    for aim in startup_aims(rng, extra, startup_s):
        yield [aim]
    for aim in finishing_aims(rng, rows, extra, FINISHING_S):
        yield [aim]


def _more(rng: np.random.Generator, kills: int, campaign: Campaign) -> Iterator[list[Aim]]:
    """Aim again for as many as fell beside their mark; asked when all plans are done."""
    for _ in range(kills):
        if len(campaign.inside) < kills:
            yield scoring_aims(rng, campaign.rows, 1)


def _reference(command: Command) -> float:
    """Run without interruption; seconds until the first record was there."""
    started, first = time.monotonic(), 0.0
    process = command.start()
    while process.poll() is None and not first:
        if records(command.journal / "rows"):
            first = time.monotonic() - started
        time.sleep(0.01)
    command.finish(process)
    return first or time.monotonic() - started


def _take_note(
    campaign: Campaign, command: Command, ending: Ending, wanted: bytes, names: Counter[str]
) -> None:
    table = command.out.read_bytes()
    found = Counter(row["image"] for row in rows_of_file(command.out))
    campaign.runs += 1
    campaign.kills += ending.kills
    campaign.missed += ending.missed
    campaign.differing += table != wanted
    campaign.differing_images |= _images_of(set(table.splitlines()) ^ set(wanted.splitlines()))
    campaign.lost += (names - found).total()
    campaign.duplicated += (found - names).total()
    campaign.orphans += sum(kill.orphans for kill in ending.kills)
    campaign.exposed += not ending.private
    # The table and its record are to be there, and nothing else.
    campaign.left_behind += _entries(command.out.parent) - 2


def _entries(folder: Path) -> int:
    return len(list(folder.iterdir()))


def _images_of(lines: set[bytes]) -> set[str]:
    return {line.split(b",")[0].decode() for line in lines}
