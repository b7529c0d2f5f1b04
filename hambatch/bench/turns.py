"""One turn of something that is measured: how long, how much CPU, how much memory."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Turn:
    """What one repeat of one thing took.

    Attributes
    ----------
    cpu_seconds, peak_rss_mb
        Of all processes that worked on it; megabytes are 10^6 bytes, and the peak
        is since the process started.
    samples_ms
        Latencies of single requests, where these are what is measured.
    start_s
        What came before the clock was started: loading, of a whole run.
    known_pictures
        Scored beside the images, of a whole run.
    """

    images: int
    seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    samples_ms: tuple[float, ...] = ()
    start_s: float | None = None
    known_pictures: int = 0

    @property
    def images_per_s(self) -> float:
        """The rate of this turn."""
        return self.images / self.seconds

    @property
    def cpu_cores(self) -> float:
        """Cores busy on average."""
        return self.cpu_seconds / self.seconds


def timed(work: Callable[[], int]) -> Turn:
    """Run ``work``, which gives the number of images it did, in this process alone."""
    cpu, started = time.process_time(), time.perf_counter()
    images = work()
    seconds, busy = time.perf_counter() - started, time.process_time() - cpu
    return Turn(images, seconds, busy, peak_rss_mb(os.getpid()))


def peak_rss_mb(pid: int) -> float:
    """Read a process's peak resident memory in 10^6 bytes; 0 where it is gone.

    Not from ``getrusage``: that carries over from the process that spawned it.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    kib = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(next(kib, 0)) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """Read the CPU seconds of a process, to a clock tick (10 ms); 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # The name, in parentheses, may hold anything; user and system time are fields 14 and 15.
    fields = status.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
