"""Processes that a killed one leaves behind, found in /proc by their session; Linux only."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.02


@dataclass(frozen=True)
class Process:
    """One process for good: a number may be given to another one later, but not this start."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Tell whether it still runs; one that only waits for its parent to look does not."""
        fields = _stat(self.pid)
        return bool(fields) and fields[19] == self.started and fields[0] not in {"Z", "X"}

    def kill(self) -> None:
        """Kill it, if it is still the same one."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def session(leader: int) -> list[Process]:
    """Processes of a session, its leader among them, dead or alive: none leaves it by dying."""
    found = []
    for folder in Path("/proc").iterdir():
        if (
            folder.name.isdigit()
            and (fields := _stat(int(folder.name)))
            and fields[3] == str(leader)
        ):
            found.append(Process(int(folder.name), fields[19]))
    return found


def orphans(family: list[Process], patience_s: float) -> int:
    """Count those that do not go away by themselves in time, and end them."""
    deadline = time.monotonic() + patience_s
    while any(process.alive() for process in family) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    left = [process for process in family if process.alive()]
    for process in left:
        process.kill()
    return len(left)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; none if there is no such process."""
    with suppress(OSError):
        # The command's name, in brackets, may hold spaces and brackets itself.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
