"""Kill a run at chosen records of its journal, resume it, and see whether anything shows."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.faults.command import Command
from tests.faults.processes import orphans, session
from tests.waiting import HANGS_S

POLL_S = 0.002
ORPHAN_PATIENCE_S = HANGS_S
"""Loading an engine cannot be interrupted; afterwards a worker notices that it is alone."""

WHOLE_GROUP_SHARE = 0.2
TORN_SHARE = 0.2


@dataclass(frozen=True)
class Aim:
    """When to kill: ``delay_s`` after the journal holds ``records`` rows.

    With ``whole_group`` the worker is killed with its parent. ``torn_bytes`` of the
    journal's end are lost afterwards, as in a power cut: cut off, or zeros.
    """

    phase: str
    records: int
    delay_s: float = 0.0
    whole_group: bool = False
    torn_bytes: int = 0
    zeros: bool = False


@dataclass(frozen=True)
class Kill:
    """What a kill met: ``fell`` rows in the journal, and whether the table was there already."""

    aim: Aim
    fell: int
    table_existed: bool
    journal_existed: bool
    orphans: int


@dataclass
class Ending:
    """A run that was killed and resumed until it finished.

    ``missed`` counts aims at a moment by which the run had ended.
    """

    kills: list[Kill] = field(default_factory=list)
    missed: int = 0
    exit_code: int = -1
    private: bool = True


def scoring_aims(rng: np.random.Generator, rows: int, kills: int) -> list[Aim]:
    """Moments between the first and the last record, one in each of ``kills`` equal parts."""
    places = 1 + (np.arange(kills) + rng.random(kills)) / kills * (rows - 1)
    return [
        Aim(
            "scoring",
            int(place),
            whole_group=bool(rng.random() < WHOLE_GROUP_SHARE),
            torn_bytes=int(rng.integers(1, 200)) if rng.random() < TORN_SHARE else 0,
            zeros=bool(rng.random() < 0.5),
        )
        for place in places
    ]


def startup_aims(rng: np.random.Generator, kills: int, seconds: float) -> list[Aim]:
    """Moments before the first record, which takes a whole run about ``seconds``."""
    return [Aim("start-up", 0, float(d)) for d in _spread(rng, kills, seconds)]


def finishing_aims(rng: np.random.Generator, rows: int, kills: int, seconds: float) -> list[Aim]:
    """Moments from the last record on, until a process has usually ended."""
    return [Aim("finishing", rows, float(d)) for d in _spread(rng, kills, seconds)]


def _spread(rng: np.random.Generator, parts: int, length: float) -> Sequence[float]:
    moments: list[float] = (
        (np.arange(parts) + rng.random(parts)) / max(parts, 1) * length
    ).tolist()
    return moments


def run_through(command: Command, aims: Sequence[Aim]) -> Ending:
    """Start, kill and start again, once an aim; the last start is left to finish.

    Raises
    ------
    AssertionError
        If a start after a kill ends with anything but a table.
    """
    ending = Ending()
    for aim in aims:
        process = command.start()
        if not _wait_for(process, command.journal / "rows", aim):
            ending.exit_code = command.finish(process)
            ending.missed += 1
            return ending
        ending.private &= _is_private(command.journal)
        ending.kills.append(_kill(process, command, aim))
        if _is_finished(command):
            _tidy(command)
            return ending
    ending.exit_code = command.finish()
    return ending


def records(rows: Path) -> int:
    """Whole lines in the journal; 0 where there is none (yet, or any more)."""
    try:
        return rows.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _wait_for(process: subprocess.Popen[bytes], rows: Path, aim: Aim) -> bool:
    deadline = time.monotonic() + HANGS_S
    while records(rows) < aim.records:
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, f"no {aim.records} records in {HANGS_S} s"
        time.sleep(POLL_S)
    time.sleep(aim.delay_s)
    return process.poll() is None


def _kill(process: subprocess.Popen[bytes], command: Command, aim: Aim) -> Kill:
    if aim.whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    left = orphans(session(process.pid), ORPHAN_PATIENCE_S)
    rows = command.journal / "rows"
    fell = records(rows)
    if aim.torn_bytes and rows.exists():
        _tear(rows, aim)
    return Kill(aim, fell, command.out.exists(), command.journal.exists(), left)


def _tear(rows: Path, aim: Aim) -> None:
    size = rows.stat().st_size
    os.truncate(rows, max(size - aim.torn_bytes, 0))
    if aim.zeros:
        # Growing a file again fills it with zeros: its size reached the disk, its end did not.
        os.truncate(rows, size)


def _is_private(journal: Path) -> bool:
    try:
        return journal.stat().st_mode & 0o077 == 0
    except FileNotFoundError:
        return True


def _is_finished(command: Command) -> bool:
    """Whether the kill came too late to matter: everything written, the journal closed."""
    begun = (command.journal / "run.json").exists()
    return command.out.exists() and command.record.exists() and not begun


def _tidy(command: Command) -> None:
    """Start once more where the journal's folder was half removed: refused, and tidied up."""
    if command.journal.exists():
        assert command.start().wait(HANGS_S) == 1
