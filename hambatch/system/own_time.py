"""How much time a process had for its work: a machine that is busy elsewhere takes none of it."""

import os
import time
from contextlib import suppress
from pathlib import Path

LOOK_EVERY = 0.2
"""Seconds between two looks at a process that is waited for."""

MOST_A_LOOK = 2 * LOOK_EVERY
"""More time than this between two looks: this process was stopped (Ctrl-Z), or got no processor."""


class OwnTime:
    """Counts the seconds of another process from now on, for a time limit.

    What counts is processor time, and the time in which all its threads wait for something else,
    such as a disk or a lock. The time in which a thread is ready and the processors are busy with
    other work does not count: otherwise a loaded machine would break the limit, not the process.

    Where the system does not tell (no ``/proc``), all time counts.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._had = pid, 0.0
        self._looked, self._cpu = time.monotonic(), -1.0

    def seconds(self) -> float:
        """Look at the process, at least every :data:`LOOK_EVERY`; gives the seconds it had."""
        now, cpu = time.monotonic(), cpu_seconds(self._pid)
        passed = min(now - self._looked, MOST_A_LOOK)
        if not _is_ready_to_run(self._pid):
            self._had += passed
        elif self._cpu >= 0:
            self._had += min(passed, cpu - self._cpu)
        self._looked, self._cpu = now, cpu
        return self._had


def cpu_seconds(pid: int) -> float:
    """Read the CPU seconds of a process, to a clock tick (10 ms); 0 where it is gone."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    # User and system time are fields 14 and 15.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def is_stopped(pid: int) -> bool:
    """Tell whether somebody stopped the process: SIGSTOP, or a debugger."""
    return _stat(Path(f"/proc/{pid}/stat"))[:1] in (["T"], ["t"])


def _is_ready_to_run(pid: int) -> bool:
    """Tell whether a thread of the process runs, or would if it got a processor."""
    return any(_stat(path)[:1] == ["R"] for path in Path(f"/proc/{pid}/task").glob("*/stat"))


def _stat(path: Path) -> list[str]:
    """Read the fields from the third on; none if the process or thread is gone."""
    with suppress(OSError):
        # The name, in parentheses, may hold anything.
        return path.read_text(errors="replace").rpartition(")")[2].split()
    return []
